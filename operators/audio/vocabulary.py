"""Labels for a clip's sound, and how a person gives others.

The labels cover what AudioSet's ontology covers (J. F. Gemmeke et al., "Audio Set: An ontology and
human-labeled dataset for audio events", ICASSP 2017), as phrases that read well after "a sound of", with
more of what films and trailers hold and less of what they do not.
"""

from __future__ import annotations

from pathlib import Path

from operators.audio.tags import MEASURED_TAGS
from operators.errors import ConfigurationError

LONGEST = 80  # characters of a label
MOST = 5000  # labels

SOUNDS = (
    # voices
    "a man speaking", "a woman speaking", "a child speaking", "a conversation", "a narrator", "whispering",
    "shouting", "screaming", "laughter", "giggling", "crying and sobbing", "a baby crying", "sighing", "gasping",
    "heavy breathing", "coughing", "sneezing", "snoring", "chewing", "a man singing", "a woman singing", "a choir",
    "rapping", "humming", "whistling", "a crowd talking", "a crowd cheering", "booing", "applause", "chanting",
    "children playing", "a radio voice", "a synthesized voice",
    # people's movements
    "footsteps", "running feet", "clapping hands", "finger snapping", "a heartbeat", "a punch", "a slap",
    "clothes rustling",
    # music
    "orchestral music", "electronic music", "rock music", "pop music", "hip hop music", "jazz", "folk music",
    "classical music", "ambient music", "a suspenseful film score", "a piano", "an acoustic guitar",
    "an electric guitar", "a bass guitar", "drums", "a drum roll", "cymbals", "violins", "a cello",
    "brass instruments", "a trumpet", "a flute", "a saxophone", "a synthesizer", "an organ", "a harp", "a harmonica",
    "an accordion", "bagpipes", "bells", "a music box", "a sitar", "a gong",
    # animals
    "a dog barking", "a dog growling", "a wolf howling", "a cat meowing", "a cat purring", "a horse neighing",
    "hooves", "a cow mooing", "sheep bleating", "a pig grunting", "a rooster crowing", "a lion roaring",
    "an elephant trumpeting", "a monkey", "birds singing", "a crow cawing", "an owl hooting", "ducks quacking",
    "wings flapping", "insects buzzing", "crickets", "frogs croaking", "a snake hissing", "a whale",
    # nature
    "wind", "leaves rustling", "rain", "thunder", "a stream", "a waterfall", "ocean waves", "bubbling under water",
    "fire crackling", "an earthquake rumbling", "an avalanche",
    # vehicles
    "a car engine", "a car passing by", "tyres squealing", "a car horn", "a car crash", "traffic", "a truck",
    "a motorcycle", "a bicycle", "a race car", "a train", "a train horn", "a subway", "an aeroplane", "a jet engine",
    "a helicopter", "a boat", "a ship's horn", "a siren", "a rocket launch",
    # rooms and things
    "a door opening", "a door slamming", "knocking on a door", "a doorbell", "keys jingling", "a lock clicking",
    "dishes and cutlery", "pouring a drink", "water running from a tap", "frying food", "a microwave oven",
    "a vacuum cleaner", "a toilet flushing", "a hair dryer", "a telephone ringing", "a mobile phone's tone",
    "typing on a keyboard", "a camera shutter", "a printer", "paper rustling", "writing with a pencil",
    "scissors cutting", "coins clinking", "a clock ticking", "an alarm clock", "a zip", "a ball bouncing",
    # work and machines
    "a hammer", "a saw", "a drill", "an electric motor", "a factory", "a pump", "a fan", "steam hissing",
    "a chain rattling", "metal clanging", "a sword fight",
    # sudden and designed
    "an explosion", "a gunshot", "machine gun fire", "fireworks", "glass shattering", "wood breaking", "a splash",
    "a thud", "a whoosh", "a deep cinematic impact", "a rising tension effect", "a beep", "a buzzer", "a laser effect",
    "a magical chime", "a video game", "a cartoon sound effect", "an audience in a stadium", "a restaurant",
    "an office", "a street", "a forest", "a large empty hall",
    # little
    "near silence", "white noise", "static", "mains hum", "an echo", "distortion",
)  # fmt: skip
"""The default vocabulary."""


def read_vocabulary(path: str) -> tuple[str, ...]:
    """The labels in a UTF-8 text file, one a line; empty lines and lines that begin with # are left out.

    "" gives the default. Raises `ConfigurationError` for a file that cannot be read, that holds fewer than
    two labels or the same one twice, and for labels that are too long, hold unseen characters or bear the
    name of a measured tag.
    """
    if not path:
        return SOUNDS
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"vocabulary {path}: {problem}; give a UTF-8 text file, one label a line") from None
    labels = tuple(label for line in lines if (label := line.strip()) and not label.startswith("#"))
    if not 2 <= len(labels) <= MOST:
        raise ConfigurationError(f"vocabulary {path}: {len(labels)} labels; give from 2 to {MOST}")
    for label in labels:
        if len(label) > LONGEST or not label.isprintable():
            raise ConfigurationError(f"vocabulary {path}: {label!r:.100} is no label: at most {LONGEST} characters")
        if label in MEASURED_TAGS:
            raise ConfigurationError(
                f"vocabulary {path}: {label!r} is the name of a measured tag; write another phrase, such as "
                f"'a sound of {label}', so that a model's guess is not read as a measure"
            )
    if len(set(labels)) < len(labels):
        raise ConfigurationError(f"vocabulary {path}: {max(labels, key=labels.count)!r} stands there twice")
    return labels
