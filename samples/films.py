"""The sample films, shot by shot. Cuts of the trailer fall on the beats of its music."""

from __future__ import annotations

from samples.edit import Cue, Film, Line, Shot
from samples.pictures import Camera, Lettering

TRAILER = Film(
    name="trailer",
    title="The Last Signal",
    size=(1280, 720),
    rate=24,
    shots=(
        Shot(
            name="stars",
            frames=144,
            photograph="hubble",
            camera=Camera(x=480, y=440, width=860, zoom=0.1),
        ),
        Shot(
            name="title",
            frames=72,
            colour=(142, 24, 20),
            text=(
                Lettering(words="THE LAST SIGNAL", y=0.46, height=0.17),
                Lettering(words="a Rushes sample film", y=0.63, height=0.06),
            ),
        ),
        Shot(
            name="rocket",
            frames=144,
            photograph="rocket",
            camera=Camera(x=322, y=303, width=430, pan_y=-0.13),
            text=(Lettering(words="Cape Canaveral, Florida", x=0.2, y=0.91, height=0.06, edge=True),),
        ),
        Shot(
            name="astronaut",
            frames=144,
            photograph="astronaut",
            camera=Camera(x=236, y=146, width=470, zoom=0.05),
            faces=1,
            people=1,
        ),
        Shot(
            name="lights",
            frames=18,
            photograph="rocket",
            camera=Camera(x=330, y=372, width=190, pan_x=0.3),
        ),
        Shot(
            name="photographer",
            frames=126,
            photograph="camera",
            camera=Camera(x=256, y=176, width=500),
            faces=1,
            people=1,
        ),
        Shot(
            name="cat",
            frames=192,
            photograph="cat",
            camera=Camera(x=228, y=150, width=260, zoom=-0.065),
        ),
        Shot(
            name="coffee",
            frames=144,
            photograph="coffee",
            camera=Camera(x=180, y=165, width=356, pan_x=0.11),
        ),
        Shot(
            name="gravel",
            frames=48,
            photograph="gravel",
            camera=Camera(x=384, y=200, width=250, pan_x=-0.5),
        ),
        Shot(
            name="planet",
            frames=216,
            photograph="planet",
            camera=Camera(x=800, y=450, width=1590, zoom=0.05),
        ),
        Shot(
            name="end card",
            frames=72,
            colour=(22, 74, 120),
            text=(
                Lettering(words="COMING THIS WINTER", y=0.46, height=0.13),
                Lettering(words="made from photographs in the public domain", y=0.62, height=0.05),
            ),
            fade_out=18,
        ),
    ),
    lines=(
        Line(start=1.4, words="For a hundred years we listened to the stars and heard nothing"),
        Line(start=10.5, words="Then one night the stars answered"),
        Line(start=16.0, words="One ship was ready and one woman was ready to fly it"),
        Line(start=36.5, words="He left the table and he never came back"),
        Line(start=43.8, words="This winter the last signal is coming home"),
    ),
    cues=(Cue(start=0.0, seconds=15.0), Cue(start=27.0, seconds=28.0)),
    booms=(21.0,),
)

LAUNCH_PAD = Film(
    name="launch_pad",
    title="One shot without sound",
    size=(1280, 720),
    rate=25,
    shots=(
        Shot(
            name="rocket",
            frames=300,
            photograph="rocket",
            camera=Camera(x=210, y=290, width=410, pan_x=0.045),
        ),
    ),
)

PORTRAIT = Film(
    name="portrait",
    title="A telephone's upright video",
    size=(576, 1024),
    rate=30,
    rotation=90,
    shots=(
        Shot(
            name="astronaut",
            frames=180,
            photograph="astronaut",
            camera=Camera(x=222, y=256, width=285, zoom=0.02),
            faces=1,
            people=1,
        ),
        Shot(
            name="cat",
            frames=75,
            photograph="cat",
            camera=Camera(x=200, y=150, width=165, pan_x=0.12),
        ),
    ),
    lines=(Line(start=0.6, words="Some people look at the stars and some people go"),),
)
