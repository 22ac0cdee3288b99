"""What tests do with a dashboard in a page, and what they read from it."""

import time

from tests.browser.lab import ROOT, THEMES

AXE = ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js"
IMPACTS = ("minor", "moderate", "serious", "critical")
STREAM = "[data-testid=stream]"
TOKENS = f"{STREAM} [data-i]"


def test_id(name):
    return f"[data-testid={name}]"


test_id.__test__ = False


def tokens(page):
    """Index, kind and text of every output token that is drawn."""
    return page.eval_on_selector_all(
        TOKENS, "all => all.map(e => [Number(e.dataset.i), e.dataset.kind, e.textContent])"
    )


def wait_until(page, condition, seconds=30.0, step=25):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        page.wait_for_timeout(step)


def points(page, plot):
    return int(page.get_attribute(test_id(f"plot-{plot}"), "data-points"))


def long_run(page, max_tokens=1200):
    """Ask for a long answer in the dashboard's own controls."""
    page.fill(test_id("max-tokens"), str(max_tokens))
    page.press(test_id("max-tokens"), "Tab")
    box = page.locator(test_id("ignore-eos"))
    if not box.is_checked():
        box.click()


def generate(page, max_tokens):
    """Generate to the end in the dashboard as it is set."""
    page.fill(test_id("max-tokens"), str(max_tokens))
    page.press(test_id("max-tokens"), "Tab")
    page.click(test_id("generate"))
    wait_until(page, lambda: "inish" in page.inner_text(test_id("status")))


def kernel_value(notebook, expression):
    """Evaluate an expression in the notebook's kernel."""
    notebook.page.evaluate(
        """async (code) => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({code, store_history: false});
            window.specvizValue = '';
            future.onIOPub = (m) => { if (m.header.msg_type === 'stream') window.specvizValue += m.content.text; };
            await future.done;
        }""",
        f"import sys; _ = sys.stdout.write({expression})",
    )
    return notebook.page.evaluate("window.specvizValue")


def violations(page, selector, impacts=IMPACTS):
    """What axe-core finds in a part of a page, as it is: the rule, the elements, and what is wrong."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("(selector) => axe.run(selector).then(r => r.violations)", selector)
    return [
        (one["id"], [node["html"] for node in one["nodes"]], one["nodes"][0]["failureSummary"])
        for one in found
        if one["impact"] in impacts
    ]


def assert_accessible(notebook, selector, impacts=("serious", "critical")):
    """In no theme axe-core finds what keeps people out."""
    for theme in THEMES:
        notebook.theme(theme)
        found = violations(notebook.page, selector, impacts)
        assert not found, f"{theme}: {found}"
