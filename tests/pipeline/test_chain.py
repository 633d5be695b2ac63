from __future__ import annotations

import pytest

from operators.contract import Operator, Resources
from operators.errors import ChainError, ConfigurationError
from pipeline.chain import check, compose, fingerprint, lineages
from tests.pipeline.small_chain import Tell, chain, made_operator


def test_a_chain_that_fits_passes_and_every_operator_checks_itself():
    operators = chain()
    checked: list[str] = []
    for operator in operators:
        operator.check = lambda name=operator.name: checked.append(name)
    check(operators)
    assert checked == ["split", "score", "judge", "listen", "tell"]


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ([], "no operator"),
        ([made_operator("a"), made_operator("b"), made_operator("a")], "used more than once: a"),
        ([made_operator("a", reads=("sharpness",))], "a reads column 'sharpness'; no operator writes it"),
        (
            [made_operator("a", reads=("sharpness",)), made_operator("b", writes=("sharpness",))],
            "a reads column 'sharpness'; b writes it: move it above a",
        ),
        (
            [made_operator("a", writes=("sharpness",)), made_operator("b", writes=("sharpness",))],
            "column 'sharpness' is written by both a and b",
        ),
    ],
)
def test_chains_that_do_not_fit_are_refused_with_the_remedy(operators: list[Operator], message: str):
    with pytest.raises(ChainError, match=message):
        check(operators)


def test_several_operators_may_drop_clips():
    check([made_operator("a", writes=("drop_reason",)), made_operator("b", writes=("drop_reason",))])


def test_an_operator_may_read_what_the_manifest_and_the_clip_itself_give():
    check([made_operator("a", reads=("video_id", "uri", "size", "etag", "extra", "clip_index", "provenance"))])


def test_a_missing_model_file_is_told_before_anything_starts():
    operator = made_operator("a")

    def missing() -> None:
        raise ConfigurationError("no such model")

    operator.check = missing
    with pytest.raises(ConfigurationError, match="no such model"):
        check([operator])


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({}, set()),
        ({"word": "crisp"}, {"tell"}),
        ({"drop": 1}, {"judge"}),
        ({"base": 0.6}, {"score", "judge", "tell"}),
        ({"clips": 4}, {"split", "score", "judge", "listen", "tell"}),
    ],
)
def test_a_lineage_changes_with_the_operator_and_with_what_it_reads_from(changes: dict, changed: set[str]):
    before, after = lineages(chain()), lineages(chain(**changes))
    assert {name for name in before if before[name] != after[name]} == changed
    assert (fingerprint(before) != fingerprint(after)) == bool(changed)


def test_a_raised_version_and_another_author_of_a_column_change_lineages():
    class NewerTell(Tell):
        version = 2

    NewerTell.__module__, NewerTell.__qualname__ = Tell.__module__, Tell.__qualname__
    assert lineages([*chain()[:-1], NewerTell()])["tell"] != lineages(chain())["tell"]

    reader = made_operator("reader", reads=("sharpness",))
    one = lineages([made_operator("root"), made_operator("x", writes=("sharpness",)), reader])
    two = lineages([made_operator("root"), made_operator("y", writes=("sharpness",)), reader])
    assert one["root"] == two["root"]
    assert one["reader"] != two["reader"]


def test_lineages_do_not_depend_on_neighbours_that_are_not_read():
    with_one_more = [*chain()[:2], made_operator("other", writes=("brightness",)), *chain()[2:]]
    more = lineages(with_one_more)
    assert {name: more[name] for name in lineages(chain())} == lineages(chain())
    assert fingerprint(more) != fingerprint(lineages(chain()))


def _with(name: str, **resources) -> Operator:
    return made_operator(name, resources=Resources(**resources))


def test_adjacent_cpu_operators_become_one_stage():
    (stage,) = compose(
        [
            _with("a", cpus=1, memory_mb=900, actors=(1, 8)),
            _with("b", cpus=0.5, memory_mb=300, batch=8),
            _with("c", cpus=2, actors=(2, 4)),
        ]
    )
    assert stage.name == "a+b+c"
    assert (stage.cpus, stage.gpus, stage.memory_mb, stage.batch, stage.actors) == (2, 0, 1200, 8, (2, 4))


def test_gpu_operators_are_stages_of_their_own_and_one_at_the_end_gets_a_writer():
    stages = compose([_with("a"), _with("b"), _with("g", gpus=1, batch=32), _with("h", gpus=0.5), _with("c")])
    assert [stage.name for stage in stages] == ["a+b", "g", "h", "c"]
    stages = compose([_with("a"), _with("g", gpus=1)])
    assert [stage.name for stage in stages] == ["a", "g", "write"]
    assert stages[-1].operators == ()
    assert stages[-1].gpus == 0


def test_only_a_stage_of_one_operator_works_on_several_batches_at_once():
    threaded = _with("g", gpus=0.5, concurrency=4)
    assert [stage.concurrency for stage in compose([_with("a"), threaded])] == [1, 4, 1]
    assert [stage.concurrency for stage in compose([_with("a"), _with("t", concurrency=4)])] == [1]
