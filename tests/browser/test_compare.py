"""Two recorded answers side by side: in JupyterLab, and as one file that no network can reach."""

import pytest

import specviz as sv
from specviz.trace import Header, ModelInfo, Pieces, Round, Settings, Summary, Trace
from specviz.trace.events import StopReason
from tests.browser.dashboard import IMPACTS, assert_accessible, generate, test_id, tokens, violations, wait_until
from tests.browser.lab import SHOTS
from tests.browser.test_replay import HOSTILE, quiet, recorded

TEXT = test_id("compare-text")
PARAGRAPHS = (
    "The Pythagorean theorem relates the three sides of a right triangle.\n\n"
    "It says that the square of the hypotenuse is {} the squares of the other two sides.\n\n"
    "- The hypotenuse is the longest side.\n- The other two are called legs.\n{}\n\n"
    "It was known long before Pythagoras, and has {} proofs; one of them was found by a president.\n"
)
WORDS = (("equal to the sum of", "", "many"), ("the sum of", "- Their lengths are a and b.", "several hundred"))


THOUGHTS = (
    "<think>\nThe user asks for a theorem. I should name the three sides first.\n\n"
    "Then I say what is equal to what, and {}.\n</think>\n\n"
)
ASIDES = ("add an example with legs of three and four", "who found it")


def thought(which, k):
    """An answer of ours that reasons before it."""
    return said(which, k, THOUGHTS.format(ASIDES[which]))


def said(which, k, before=""):
    """An answer of ours as a trace, whose main model keeps `k` of each four that are drafted."""
    text = before + PARAGRAPHS.format(*WORDS[which])
    words = text.replace(" ", "| ").replace("\n", "|\n|").split("|")
    texts = [word for word in words if word] + ["<|im_end|>"]
    ids = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    end = ids["<|im_end|>"]
    settings = Settings(num_draft_tokens=4, p_min=0.25 * which)
    models = {
        "main": ModelInfo(name="SmolLM2-135M-Instruct-Q4_1"),
        "draft": ModelInfo(name=f"draft-{which}"),
        "drafter": "model",
    }
    trace = Trace.of([Header(prompt="Explain the Pythagorean theorem", settings=settings, **models)])
    trace.add(Pieces(text={id: text for text, id in ids.items()} | {900: " some", 901: " other"}, control=(end,)))
    output = [ids[text] for text in texts]
    while len(trace) < len(output):
        start, n = len(trace), len(trace.rounds)
        ahead = output[start : start + k + 1]
        kept, closing = ahead[:-1], ahead[-1]
        drafted = (*kept, *(900 for _ in range(4 - len(kept))))
        trace.add(
            Round(
                index=n,
                start=start,
                drafted=drafted,
                sent=4,
                accepted=len(kept),
                closing=closing,
                p=(0.41,) * 4,
                q=(0.5,) * 4,
                closing_p=0.41,
                main_top=tuple(((id, 0.41), (901, 0.4), (900, 0.1)) for id in (*drafted, closing)),
                time=0.05 * n,
                draft_seconds=0.01,
                verify_seconds=0.035,
                other_seconds=0.005,
            )
        )
    trace.add(Summary(stop_reason=StopReason.EOS_FOUND))
    return trace


def tops(page, selector):
    """Where elements are on the page, from its top."""
    return page.eval_on_selector_all(selector, "all => all.map(one => Math.round(one.getBoundingClientRect().top))")


def test_the_page_shows_both_answers_aligned(open_page):
    a, b = said(0, 2), said(1, 3)
    compared = sv.compare(a, b, ("two of four", "three of four"))
    page = open_page(compared)
    page.wait_for_selector(TEXT)
    assert page.inner_text(test_id("verdict")) == compared.result.verdict
    for side, trace in (("a", a), ("b", b)):
        assert page.locator(f"{TEXT} [data-side={side}] [data-i]").count() == len(trace)
    rows = page.locator(f"{TEXT} [role=row]").count()
    assert tops(page, f"{TEXT} [data-side=a]") == tops(page, f"{TEXT} [data-side=b]") and rows > 4
    assert page.inner_text(f"{TEXT} [data-side=a] mark >> nth=0") == " equal to"
    assert page.locator(f"{TEXT} [data-side=b] mark >> nth=0").bounding_box()["height"] > 0, "the place is marked"
    assert "Draft probability cutoff" in page.inner_text(test_id("compare-settings"))
    assert not page.locator(".specviz-static").is_visible()
    quiet(page)


def test_differences_are_gone_to_by_key_and_cards_open_in_both(open_page):
    compared = sv.compare(said(0, 2), said(1, 3))
    n = sum(not one.equal for one in compared.result.passages)
    page = open_page(compared)
    page.focus(TEXT)
    for number in (*range(1, n + 1), 1):
        page.keyboard.press("n")
        assert page.inner_text(test_id("compare-status")) == f"Difference {number} of {n}"
        frame = page.locator(TEXT).bounding_box()
        mark = page.locator(".sv-cmp-current >> nth=0").bounding_box()
        head = page.locator(".sv-cmp-head").bounding_box()
        assert head["y"] + head["height"] <= mark["y"] < frame["y"] + frame["height"]
    page.click(test_id("compare-previous"))
    assert page.inner_text(test_id("compare-status")) == f"Difference {n} of {n}"
    for side in "ab":
        page.locator(f"{TEXT} [data-side={side}] [data-i] >> nth=3").hover()
        assert "Round" in page.inner_text(f"{test_id('inspector')}:visible")
        assert page.locator(f"{test_id('inspector')}:visible").count() == 1
    page.locator(f"{TEXT} [data-side=b] [data-i] >> nth=3").click()
    page.locator(f"{test_id('inspector')}:visible [data-step-dropped]").first.click()
    assert page.is_checked(test_id("toggle-rejected"))
    assert page.locator(".sv-cursor.x").count() == 1
    page.keyboard.press("Escape")
    quiet(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reasoning_folds_in_both(open_page, scheme):
    a, b = thought(0, 2), thought(1, 3)
    page = open_page(sv.compare(a, b), scheme)
    heads = page.locator(test_id("reasoning"))
    heads.first.wait_for()
    captions = [str(trace.reasoning()[0]) for trace in (a, b)]
    assert [head.inner_text() for head in heads.all()] == [
        f"{one} · 1 difference · the answers part here" for one in captions
    ]
    assert captions[0] != captions[1]

    def expanded():
        return [head.get_attribute("aria-expanded") for head in heads.all()]

    def seen():
        """Tokens that are shown, of both; what stands side by side begins at the same height."""
        assert tops(page, f"{TEXT} [data-side=a]:visible") == tops(page, f"{TEXT} [data-side=b]:visible")
        return [page.locator(f"{TEXT} [data-side={side}] [data-i]:visible").count() for side in "ab"]

    answers = [len(trace) - trace.reasoning()[0].stop for trace in (a, b)]
    everything = [len(a), len(b)]
    assert (expanded(), seen()) == (["false"] * 2, answers)
    head, first = heads.first.bounding_box(), page.locator(f"{TEXT} [data-side=a]:visible >> nth=0").bounding_box()
    assert first["y"] - head["y"] - head["height"] < 60, "nothing is left of the rows between"
    heads.nth(1).focus()
    for key, state in (("Enter", "true"), (" ", "false"), ("Enter", "true")):
        page.keyboard.press(key)
        assert expanded() == [state] * 2 and seen() == (everything if state == "true" else answers)
    assert heads.nth(1).evaluate("head => head === document.activeElement")
    page.keyboard.press(" ")
    page.focus(TEXT)
    page.keyboard.press("n")
    assert expanded() == ["true"] * 2 and page.locator(".sv-cmp-current >> nth=0").is_visible()
    for _ in range(2):
        assert violations(page, ".sv-compare") == []
        heads.first.click()
    quiet(page)


def test_reasoning_of_one_answer_stands_beside_nothing(open_page):
    a, b = thought(0, 2), said(0, 3)
    page = open_page(sv.compare(a, b))
    head = page.locator(test_id("reasoning"))
    head.wait_for()
    assert head.inner_text() == f"{a.reasoning()[0]} · only here · the answers part here"
    assert page.inner_text(test_id("compare-status")) == "2 differences", "reasoning, and the lines after it"
    for shown in (len(a), len(a) - a.reasoning()[0].stop):
        head.click()
        assert page.locator(f"{TEXT} [data-side=a] [data-i]:visible").count() == shown
        assert page.locator(f"{TEXT} [data-side=b] [data-i]:visible").count() == len(b)
    quiet(page)


def test_hostile_text_does_nothing(open_page):
    main, draft = (ModelInfo(name=text) for text in HOSTILE[:2])
    evil = [recorded(12, texts, main=main, draft=draft) for texts in (HOSTILE, HOSTILE[::-1])]
    page = open_page(sv.compare(*evil, (HOSTILE[0], HOSTILE[1])))
    page.wait_for_selector(TEXT)
    page.check(test_id("toggle-rejected"))
    page.click(test_id("compare-next"))
    page.locator(f"{TEXT} [data-i]").first.hover()
    assert page.evaluate("window.owned") is None
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    quiet(page)


def test_the_page_without_javascript_is_a_record(open_page):
    page = open_page(sv.compare(said(0, 2), said(1, 3)), javascript=False)
    record = page.inner_text(".specviz-static")
    assert "They part at token" in record and "several hundred" in record
    assert page.locator(".specviz-static u").count() > 20


def test_twenty_thousand_tokens_stay_usable(open_page):
    page = open_page(
        sv.compare(recorded(6700, seconds=0.02), recorded(6700, (" one", " two", " tree", " four"), seconds=0.02))
    )
    page.wait_for_selector(TEXT)
    assert page.locator(f"{TEXT} [data-i]").count() == 40_200
    page.focus(TEXT)
    start = page.evaluate("performance.now()")
    for _ in range(3):
        page.keyboard.press("p")
    passed = page.evaluate("performance.now()") - start
    print("ms for three steps", passed)
    assert passed < 10_000, "a guard against hanging"
    quiet(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_page(open_page, scheme):
    SHOTS.mkdir(parents=True, exist_ok=True)
    for width in (1160, 520):
        page = open_page(sv.compare(said(0, 2), said(1, 3), ("two of four", "three of four")), scheme, width)
        page.click(test_id("compare-next"))
        page.wait_for_timeout(300)
        page.screenshot(path=SHOTS / f"compare-{scheme}-{width}.png", full_page=True)
        quiet(page)
        page = open_page(sv.compare(thought(0, 2), thought(1, 3), ("two of four", "three of four")), scheme, width)
        page.wait_for_selector(test_id("reasoning"))
        page.screenshot(path=SHOTS / f"compare-folded-{scheme}-{width}.png", full_page=True)
        page.locator(test_id("reasoning")).first.click()
        page.screenshot(path=SHOTS / f"compare-reasoning-{scheme}-{width}.png", full_page=True)
        quiet(page)


def test_a_comparison_in_jupyterlab_is_accessible_and_saves_itself(lab, open_notebook, tmp_path):
    for which, k in ((0, 2), (1, 3)):
        said(which, k).save(lab.root / f"{which}.jsonl")
    name = lab.write(
        "compare.ipynb", "import specviz as sv\nboth = sv.compare('0.jsonl', '1.jsonl', ('one', 'other'))\nboth"
    )
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    page.wait_for_selector(TEXT)
    page.locator(f"{TEXT} [data-side=b] [data-i] >> nth=20").hover()
    wait_until(page, lambda: "Main model" in page.inner_text(f"{test_id('inspector')}:visible"))
    page.mouse.move(0, 0)
    page.focus(TEXT)
    page.keyboard.press("n")
    assert page.inner_text(test_id("compare-status")).startswith("Difference 1 of")
    assert_accessible(notebook, ".sv-compare", IMPACTS)
    with page.expect_download() as download:
        page.click(test_id("save-page"))
    path = tmp_path / "saved.html"
    download.value.save_as(path)
    assert download.value.suggested_filename.startswith("SmolLM2-135M-Instruct-Q4_1-with-draft-0-and-")
    notebook.gallery("compare")
    assert not notebook.errors
    saved = page.context.new_page()
    saved.goto(path.as_uri())
    saved.wait_for_selector(TEXT)
    assert saved.inner_text("h1") == "one and other"


def saved_page(notebook, folder):
    """Click "Save as page" and open what comes."""
    with notebook.page.expect_download() as download:
        notebook.page.click(test_id("save-page"))
    path = folder / "saved.html"
    download.value.save_as(path)
    assert not notebook.errors
    saved = notebook.page.context.new_page()
    saved.goto(path.as_uri())
    saved.wait_for_selector(test_id("player"))
    return saved


def test_a_replay_saves_itself(lab, open_notebook, tmp_path):
    said(0, 2).save(lab.root / "run.jsonl")
    name = lab.write("saving.ipynb", "import specviz as sv\nsv.replay('run.jsonl', autoplay=False)")
    notebook = open_notebook(name)
    page = notebook.page
    notebook.run(0)
    page.wait_for_selector(test_id("player"))
    saved = saved_page(notebook, tmp_path)
    assert saved.inner_text("h1") == "SmolLM2-135M-Instruct-Q4_1 with draft-0"
    assert saved.locator(test_id("save-page")).count() == 0


def test_the_dashboard_saves_what_it_shows(quickstart, tmp_path):
    page = quickstart.page
    assert page.is_disabled(test_id("save-page")), "there is nothing yet"
    generate(page, 24)
    said = tokens(page)
    saved = saved_page(quickstart, tmp_path)
    assert tokens(saved) == said
