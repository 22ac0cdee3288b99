"""Choosing models in JupyterLab: typing, keys, reasons, defaults, and choosing while a generation runs."""

import re

import pytest

from tests.browser.dashboard import TOKENS, kernel_value, test_id, wait_until
from tests.browser.lab import SHOTS
from tests.models.files import join_gemma, write_mlx, write_vocabulary

OPTION = test_id("option")


@pytest.fixture(scope="module")
def models(lab):
    """What lies in the user's folder: Gemma 3, a damaged file, an MLX model."""
    join_gemma(lab.models / "gemma-3-270m-Q4_K_M.gguf")
    write_vocabulary(lab.models / "broken-Q8_0.gguf")
    (lab.models / "broken-Q8_0.gguf").write_bytes((lab.models / "broken-Q8_0.gguf").read_bytes()[:900])
    write_mlx(lab.models / "tiny-mlx")
    return lab.models


@pytest.fixture
def picker(lab, models, open_notebook):
    """A notebook with a picker, its search ended."""
    name = lab.write("picker.ipynb", "import specviz as sv\npicker = sv.ModelPicker()\npicker")
    notebook = open_notebook(name)
    notebook.run(0)
    searched(notebook.page)
    return notebook


@pytest.fixture
def explorer(lab, models, open_notebook):
    """A notebook with an Explorer on the demo pair, its search ended."""
    name = lab.write("explorer.ipynb", "import specviz as sv\nexplorer = sv.explore()\nexplorer")
    notebook = open_notebook(name)
    notebook.run(0)
    searched(notebook.page)
    return notebook


def searched(page):
    page.wait_for_selector(test_id("library-state"))
    wait_until(page, lambda: re.search(r"\d draft|\d model", page.inner_text(test_id("library-state"))))


def names(page):
    return page.locator(f"{OPTION} .sv-option-name").all_text_contents()


def active(page, role):
    row = page.get_attribute(test_id(role), "aria-activedescendant")
    return page.inner_text(f"#{row}")


def shot(notebook, name, opened="", refused=False):
    """Take screenshots in both themes, with a list open and what it hides shown."""
    page = notebook.page
    for theme in ("dark", "light"):
        notebook.theme(theme)
        if opened:
            page.click(test_id(opened))
        if refused and page.locator(test_id("show-refused"), has_text="Show").count():
            page.click(test_id("show-refused"))
        notebook.shot(f"picker-{name}-{theme}")


def test_type_and_choose_with_the_keyboard(picker):
    page = picker.page
    main = page.locator(test_id("main"))
    assert main.input_value() == "SmolLM2-135M-Instruct.Q4_1"
    main.focus()
    main.press("ArrowDown")
    assert main.get_attribute("aria-expanded") == "true"
    assert "Demo" in page.inner_text(test_id("main-list")) and "Folders" in page.inner_text(test_id("main-list"))
    main.press("Escape")
    main.press_sequentially("F16 smol")
    assert names(page) == ["SmolLM2-135M-Instruct.F16"]
    main.press("Escape")
    assert main.input_value() == "SmolLM2-135M-Instruct.Q4_1"
    main.press_sequentially("gémmá")
    assert names(page) == ["gemma-3-270m-Q4_K_M"]
    main.press("Tab")
    assert main.input_value() == "SmolLM2-135M-Instruct.Q4_1", "Tab chooses nothing"
    main.focus()
    main.press("Enter")
    main.press("End")
    assert "Show 1 model that cannot be used" in active(page, "main")
    main.press("Enter")
    assert "takes" not in active(page, "main")
    for listed in ("tiny-mlx", "broken-Q8_0"):  # MLX is installed here, and so its models can be chosen
        page.wait_for_selector(f"{test_id('main-list')} :text('{listed}')")
    main.press("End")
    main.press("Enter")
    assert main.get_attribute("aria-expanded") == "true", "what cannot be used is not chosen"
    main.press("Escape")
    picker.choose("main", "gemma")
    wait_until(page, lambda: page.input_value(test_id("draft")) == "No compatible draft")
    assert kernel_value(picker, "picker.main + ' ' + picker.draft").endswith("gemma-3-270m-Q4_K_M.gguf none")
    assert picker.page.locator(".jp-Cell").count() == 1, "no key reached the notebook"
    assert not picker.errors


def test_pictures_of_all_states_in_both_themes(picker):
    page = picker.page
    page.locator(f"{test_id('downloads')} summary").click()
    shot(picker, "closed")
    shot(picker, "main", "main")
    shot(picker, "unusable", "main", refused=True)
    page.press(test_id("main"), "Escape")
    picker.choose("main", "gemma")
    wait_until(page, lambda: page.input_value(test_id("draft")) == "No compatible draft")
    shot(picker, "none")
    assert not picker.errors


def test_a_draft_that_does_not_fit_is_there_with_its_reason(picker):
    page = picker.page
    page.click(test_id("draft"))
    assert names(page)[:3] == ["No draft", "N-gram lookup (no model)", "SmolLM2-135M-Instruct-draft-17m.Q4_0"]
    assert "recommended" in page.inner_text(test_id("draft-list"))
    assert "gemma" not in page.inner_text(test_id("draft-list"))
    shot(picker, "draft", "draft")
    page.click(test_id("show-refused"))
    row = page.locator(OPTION, has_text="gemma-3-270m")
    assert row.get_attribute("aria-disabled") == "true"
    assert re.search(
        r"49,152 and 262,144 tokens.*token \d+ is '.+' in the main model and '.+' in the draft", row.text_content()
    )
    row.scroll_into_view_if_needed()
    row.hover()
    assert "262,144 tokens" in page.inner_text(f"{test_id('draft-list')} .sv-option-details")
    shot(picker, "refused", "draft", refused=True)
    row.click(force=True)
    assert page.input_value(test_id("draft")) != "gemma-3-270m-Q4_K_M"
    assert not picker.errors


def test_a_default_is_remembered_across_a_restart_of_the_kernel(picker):
    page = picker.page
    picker.choose("draft", "draft 12m")
    page.click(test_id("set-default"))
    wait_until(page, lambda: page.get_attribute(test_id("set-default"), "aria-pressed") == "true")
    shot(picker, "default")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    picker.run(0)
    searched(page)
    assert "12m" in page.input_value(test_id("draft"))
    assert "12m" in kernel_value(picker, "picker.draft")
    page.click(test_id("set-default"))
    wait_until(page, lambda: page.get_attribute(test_id("set-default"), "aria-pressed") == "false")


def test_a_saved_notebook_names_what_was_chosen(picker):
    picker.choose("draft", "n-gram")
    picker.page.wait_for_timeout(500)
    html = "".join(output.data.get("text/html", "") for output in picker.save().cells[0].outputs)
    assert "SmolLM2-135M-Instruct.Q4_1 with N-gram lookup" in html
    assert not picker.page.locator(".specviz-static").is_visible()


def test_choosing_while_a_generation_runs_is_for_the_next_one(explorer):
    page = explorer.page
    page.fill(test_id("max-tokens"), "2000")
    page.locator(test_id("ignore-eos")).click()
    page.click(test_id("generate"))
    wait_until(page, lambda: page.locator(TOKENS).count() > 20)
    explorer.choose("draft", "12m")
    wait_until(page, lambda: "the next run takes" in page.inner_text(test_id("status")))
    assert "draft-12m" in page.inner_text(test_id("status"))
    shot(explorer, "generating")
    page.click(test_id("stop"))
    wait_until(page, lambda: "topped" in page.inner_text(test_id("status")))
    assert "17m" in page.inner_text(test_id("run-info"))
    assert "on CPU, 1 thread" in page.inner_text(test_id("placement"))
    page.fill(test_id("max-tokens"), "20")
    page.click(test_id("generate"))
    wait_until(
        page, lambda: "12m" in page.inner_text(test_id("run-info")) and "inish" in page.inner_text(test_id("status"))
    )
    page.locator(f"{test_id('engines')} summary").click()
    wait_until(page, lambda: page.locator(f"{test_id('engine')}[data-state=ready]").count() == 2)
    shot(explorer, "explorer")
    page.locator(test_id("engines")).evaluate("element => element.scrollIntoView({block: 'center'})")
    page.screenshot(path=SHOTS / "picker-engines-light.png")
    page.set_viewport_size({"width": 1000, "height": 700})
    page.locator(".sv-settings > summary").click()
    page.locator(test_id("draft")).evaluate("element => element.scrollIntoView({block: 'end'})")
    page.locator(test_id("draft")).focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(300)
    page.screenshot(path=SHOTS / "picker-narrow-light.png")
    box = page.locator(test_id("draft-list")).bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= 1000 and box["y"] + box["height"] <= 700
    assert not explorer.errors


def test_many_models_are_filtered_as_one_types(lab, open_notebook):
    code = (
        "import msgspec, specviz as sv\n"
        "from specviz.models.index import shared_library\n"
        "picker = sv.ModelPicker()\n"
        "library = shared_library()\n"
        "library.refresh(); library.wait()\n"
        "card = library.models[0]\n"
        "many = {f'/m/{i}': msgspec.structs.replace(card, name=f'model {i:04} Q{i % 8}_0', path=f'/m/{i}')"
        " for i in range(1000)}\n"
        "library.sources.clear()\n"
        "library._cards |= many\n"
        "library.refresh = lambda: None\n"
        "picker"
    )
    notebook = open_notebook(lab.write("many.ipynb", code))
    notebook.run(0)
    page = notebook.page
    searched(page)
    page.click(test_id("main"))
    wait_until(page, lambda: page.locator(OPTION).count() > 10)
    assert page.locator(OPTION).count() <= 61, "drawn as one scrolls"
    seconds = page.evaluate(
        """async (selector) => {
            const field = document.querySelector(selector);
            const painted = () => new Promise(done => requestAnimationFrame(() => {
                const channel = new MessageChannel();
                channel.port1.onmessage = () => done(performance.now());
                channel.port2.postMessage(0);
            }));
            const times = [];
            for (const text of ['m', 'mo', 'mod', 'model', 'model 0', 'model 09', 'model 0999', 'q3', 'q3 7']) {
                await painted();
                const start = performance.now();
                field.value = text;
                field.dispatchEvent(new InputEvent('input', {bubbles: true}));
                times.push(await painted() - start);
            }
            return times;
        }""",
        test_id("main"),
    )
    print("from keystroke to painted list of 1,000 models, ms:", [round(one, 1) for one in seconds])
    assert names(page)[0] == "model 0007 Q7_0" or "Q3" in names(page)[0]
    assert page.locator(OPTION).count() <= 61
    page.press(test_id("main"), "End")
    assert not notebook.errors
