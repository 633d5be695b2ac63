"""Words for music: genres, instruments and moods, and the sentences in which a model is asked for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Aspect:
    """One thing to say about music. `prompt` holds {label}; at most `most` of `labels` are said."""

    prompt: str
    labels: tuple[str, ...]
    most: int

    @property
    def prompts(self) -> tuple[str, ...]:
        """A sentence for each label."""
        return tuple(self.prompt.format(label=label) for label in self.labels)


GENRE = Aspect(
    prompt="This is {label} music.",
    most=1,
    labels=(
        "orchestral film", "classical", "chamber", "opera", "choral", "epic trailer", "horror film", "ambient",
        "drone", "electronic dance", "house", "techno", "trance", "drum and bass", "dubstep", "synthwave",
        "industrial", "chillout", "lo-fi hip hop", "hip hop", "trap", "rhythm and blues", "soul", "funk", "disco",
        "pop", "indie pop", "rock", "hard rock", "heavy metal", "punk rock", "blues", "country", "folk", "bluegrass",
        "gospel", "jazz", "big band swing", "bossa nova", "reggae", "ska", "salsa", "tango", "flamenco", "Celtic",
        "Balkan", "Middle Eastern", "Indian classical", "Bollywood", "traditional Chinese", "traditional Japanese",
        "K-pop", "Latin pop", "Afrobeat", "marching band", "circus", "children's", "Christmas", "video game",
        "corporate background", "new age",
    ),
)  # fmt: skip

INSTRUMENT = Aspect(
    prompt="This is a sound of {label} in a piece of music.",
    most=2,
    labels=(
        "piano", "electric piano", "harpsichord", "organ", "acoustic guitar", "electric guitar",
        "distorted electric guitar", "bass guitar", "double bass", "ukulele", "banjo", "mandolin", "harp", "violin",
        "cello", "a string section", "plucked strings", "trumpet", "trombone", "French horn", "a brass section",
        "saxophone", "clarinet", "flute", "pan flute", "oboe", "bassoon", "recorder", "harmonica", "accordion",
        "bagpipes", "synthesizer pads", "a synthesizer lead", "synthesizer bass", "a drum kit", "a drum machine",
        "hand drums", "timpani", "taiko drums", "cymbals", "tambourine", "hand claps", "bells", "glockenspiel",
        "xylophone", "vibraphone", "steel drums", "sitar", "tabla", "koto", "erhu", "guzheng", "didgeridoo",
        "whistling", "a choir", "a turntable",
    ),
)  # fmt: skip

MOOD = Aspect(
    prompt="This is {label} music that sets a mood.",
    most=1,
    labels=(
        "calm", "dreamy", "peaceful", "tender", "romantic", "nostalgic", "melancholic", "sad", "sombre", "lonely",
        "mysterious", "eerie", "tense", "ominous", "frightening", "aggressive", "angry", "dramatic", "heroic",
        "triumphant", "majestic", "inspiring", "hopeful", "cheerful", "playful", "comical", "joyful", "energetic",
        "exciting", "festive", "sensual", "groovy", "meditative", "solemn",
    ),
)  # fmt: skip

ASPECTS = (GENRE, INSTRUMENT, MOOD)

CONTRASTS = (
    "This is a sound of a person speaking.",
    "This is a sound of a crowd talking.",
    "This is a sound of street noise.",
    "This is a sound of wind and rain.",
    "This is a sound of a machine running.",
    "This is a sound of an explosion.",
    "This is white noise.",
    "This is silence.",
)
"""What a passage is asked for too and never called: where one of these fits better, no label gets a score."""
