import jsonschema
import pytest
import yaml

from tamis import errors, runfile

GOOD = """\
version: 1
run: out
sources:
  web: {path: web.jsonl, text: text, label: label}
target: {path: target.jsonl, text: text, label: label}
plan:
  budgets: [100, 400]
"""


def refused(text, message):
    with pytest.raises(errors.ConfigError, match=message) as raised:
        runfile.parse(text, "run.yaml")
    assert raised.value.exit_code == 2
    return raised.value


def test_a_minimal_file_is_filled_with_defaults():
    found = runfile.parse(GOOD)
    assert found.plan.budgets == [100, 400]
    assert found.embed.backend == "static"
    assert found.ingest.shard_rows == 65_536


def test_budgets_are_sorted_and_distinct():
    assert runfile.parse(GOOD.replace("[100, 400]", "[400, 100, 400]")).plan.budgets == [100, 400]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("budgets:", "budget:"),
            r"run\.yaml:7:3: unknown key 'plan\.budget'\n  -> did you mean 'budgets'\?",
        ),
        (
            ("text: text, label: label}\nt", "txt: text}\nt"),
            r"run\.yaml:4:26: unknown key 'sources",
        ),
        (("version: 1", "version: 2"), r"run\.yaml:1:1: 'version' may not be 2"),
        (("[100, 400]", "[]"), r"run\.yaml:7:3: 'plan\.budgets' may not be \[\]"),
        (("[100, 400]", "[100, -4]"), r"run\.yaml:7:18: 'plan\.budgets\.1' may not be -4"),
        (("[100, 400]", "[many]"), r"run\.yaml:7:13: 'plan\.budgets\.0' may not be 'many'"),
        (("run: out\n", ""), r"run\.yaml:1:1: key 'run' is missing"),
        (("  web:", "  target:"), r"a source may not be called 'target'"),
        (("  web:", "  9w:"), r"run\.yaml:4:3: .*9w"),
        (
            ("target: {path: target.jsonl, text: text, label: label}", "target:"),
            r"pilots need a `target`; or give plan\.measurements",
        ),
        (
            ("text: text, label: label}\nt", "text: text}\nt"),
            r"linear-probe needs a `label` column in: web",
        ),
        (
            ("plan:", "embed: {backend: statik}\nplan:"),
            r"6:9: .*'statik'.*\n  -> did you mean 'static'",
        ),
        (
            ("plan:", "embed: {backend: sentence-transformers}\nplan:"),
            r"6:1: backend sentence-transformers needs `model`",
        ),
        (
            ("plan:", "embed: {backend: precomputed}\nplan:"),
            r"backend precomputed: web names no `embedding` or `vectors`",
        ),
        (
            ("plan:", "select: {selector: kcenter}\nplan:"),
            r"6:10: there is no selector 'kcenter'(?s:.*)did you mean k_center\?",
        ),
        (
            ("plan:", "select: {selector: mmr, options: {trad: 1}}\nplan:"),
            r"6:35: unknown option 'select\.mmr\.trad'(?s:.*)did you mean 'trade'\?",
        ),
        (
            ("plan:", "select: {selector: mmr, order: best}\nplan:"),
            r"6:1: give `order` or `selector`, not both",
        ),
        (("plan:", "select: {options: {trade: 1}}\nplan:"), r"6:1: `options` are of a `selector`"),
        (("plan:", "tier: {by: charm}\nplan:"), r"tier\.by names \['charm'\], not among score"),
    ],
    ids=lambda value: value[1][:24] if isinstance(value, tuple) else "",
)
def test_an_error_names_the_place_the_value_and_the_way_out(change, message):
    assert change[0] in GOOD
    refused(GOOD.replace(*change, 1), message)


def test_all_errors_are_told_at_once():
    text = GOOD.replace("budgets:", "budget:").replace("run: out", "rum: out")
    told = str(refused(text, "unknown key"))
    for part in ("'rum'", "'run' is missing", "'plan.budget'", "'plan.budgets' is missing"):
        assert part in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: [1,\n", r"run\.yaml:2:1: not YAML"),
        ("a: b: c\n", r"run\.yaml:1:5: not YAML: mapping values are not allowed"),
        ("", r"run\.yaml:1:1: a run file is a mapping of keys\n  -> start with `version: 1`"),
        ("- a\n", r"run\.yaml:1:1: a run file is a mapping"),
        (GOOD + "run: again\n", r"run\.yaml:8:1: key 'run' is given twice"),
        (GOOD.replace("plan:", "plan:\n  budgets: [1]"), r"run\.yaml:8:3: key 'budgets' is given"),
        ("!!python/object/apply:os.system ['true']\n", "run.yaml.*(not YAML|mapping)"),
        ("a: \x00\n", "not YAML"),
    ],
)
def test_what_is_no_run_file_is_told(text, message):
    refused(text, message)


def test_a_key_that_is_no_word_is_told():
    refused(GOOD + "[a, b]: 1\n", r"run\.yaml:8")
    refused(GOOD + "7: 1\n", r"run\.yaml:8:1: '7' .*[Kk]eys should be strings")


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "sentiment.yaml").write_text(GOOD)
    with pytest.raises(
        errors.ConfigError, match=r"sentimnet\.yaml: no such run file\n  -> did you"
    ):
        runfile.load(str(tmp_path / "sentimnet.yaml"))
    with pytest.raises(errors.ConfigError, match=r"`tamis init FOLDER` writes one"):
        runfile.load(str(tmp_path / "nowhere" / "q.yaml"))


def test_a_file_that_is_not_utf8_is_told(tmp_path):
    (tmp_path / "run.yaml").write_bytes(GOOD.encode() + b"# caf\xe9\n")
    with pytest.raises(errors.ConfigError, match=r"run\.yaml: not UTF-8"):
        runfile.load(str(tmp_path / "run.yaml"))


def test_the_json_schema_takes_what_the_parser_takes(request):
    schema = runfile.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    example = request.config.rootpath / "examples" / "sentiment.yaml"
    for text in (GOOD, example.read_text(encoding="utf-8")):
        jsonschema.validate(yaml.safe_load(text), schema)
    with pytest.raises(jsonschema.ValidationError, match="budget"):
        jsonschema.validate(yaml.safe_load(GOOD.replace("budgets:", "budget:")), schema)


def with_terms(*lines):
    return GOOD + "".join(f"  {line}\n" for line in lines)


def test_terms_of_a_plan():
    text = with_terms("shares: {web: [0.5, 1]}", "prices: {web: 2}", "training_price: 0.1")
    terms = runfile.parse(text).plan.terms
    assert terms.shares == {"web": (0.5, 1.0)}
    assert (terms.prices, terms.training_price, terms.unit) == ({"web": 2.0}, 0.1, "samples")
    fractions = runfile.parse(
        with_terms("unit: money", "max_epochs: 4").replace("[100, 400]", "[0.5]")
    )
    assert fractions.plan.budgets == [0.5]


def test_whole_budgets_stay_whole_in_a_dump():
    assert '"budgets":[100,400]' in runfile.parse(GOOD).model_dump_json()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "unit: token",
            r"run\.yaml:8:3: 'plan\.unit' may not be 'token'.*\n  -> did you mean",
        ),
        ("unit: flops", r"unit: flops needs `params`"),
        ("unit: money", r"unit: money needs `training_price` or `max_epochs`"),
        ("shares: {wbe: 0.3}", r"plan\.shares: 'wbe' is of no source; did you mean 'web'\?"),
        ("shares: {web: 1.2}", r"run\.yaml:8:3: web: 1\.2: give a share from 0 to 1"),
        ("shares: {web: [0.6, 0.2]}", r"run\.yaml:8:3: web: \[0\.6, 0\.2\]: give a share"),
        ("shares: {web: [0.6]}", r"run\.yaml:8:3: web: \[0\.6\]: give a share"),
        ("prices: {wbe: 1}", r"plan\.prices: 'wbe' is of no source; did you mean 'web'\?"),
        ("prices: {web: -1}", r"run\.yaml:8:12: 'plan\.prices\.web' may not be -1"),
        ("training_price: .inf", r"run\.yaml:8:3: 'plan\.training_price' may not be inf"),
    ],
)
def test_terms_that_make_no_sense_are_placed(line, message):
    refused(with_terms(line), message)


def test_budgets_in_samples_are_whole():
    refused(GOOD.replace("[100, 400]", "[100.5]"), r"budgets in samples are whole numbers")


def test_tokens_need_text():
    text = with_terms("unit: tokens").replace(
        "web.jsonl, text: text", "web.parquet, embedding: vector"
    )
    text = text.replace("target.jsonl, text: text", "target.parquet, embedding: vector")
    refused(f"{text}embed: {{backend: precomputed}}\n", r"unit: tokens counts words; no `text` in")


def test_shares_of_sources_that_exceed_the_whole():
    text = with_terms("shares: {web: 0.7, forum: 0.5}").replace(
        "target:", "  forum: {path: f.jsonl, text: text, label: label}\ntarget:"
    )
    refused(text, r"plan\.shares come to more than the whole: web 0\.7, forum 0\.5; lower some")
