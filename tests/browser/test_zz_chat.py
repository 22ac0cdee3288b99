from tests.browser.dashboard import generate, test_id
from tests.browser.test_chat import follow_up


def test_pictures(quickstart):
    page = quickstart.page
    page.set_viewport_size({"width": 1400, "height": 1300})
    generate(page, 90)
    for text in ("And for a circle?", "And for a sphere?", "Why?"):
        follow_up(page, text)
    quickstart.shot("zz-long")
    quickstart.theme(True)
    page.set_viewport_size({"width": 520, "height": 1600})
    page.wait_for_timeout(500)
    quickstart.shot("zz-narrow")
    page.locator(test_id("turns")).hover()
    page.mouse.wheel(0, -5000)
    page.wait_for_timeout(500)
    quickstart.shot("zz-top")
