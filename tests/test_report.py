"""The report in a real browser: Chromium without network opens the file and is driven as a person would."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import pytest
from report_cases import EVIL, content
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from segment_lib.report.page import embedded, render
from segment_lib.report.write import write

PHONE, LAPTOP = (390, 844), (1280, 900)
SEGMENTS, NIGHTS = 12, 40


@pytest.fixture(scope="module")
def browser():
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "Chromium and its driver are missing: scripts/browser.sh installs them on Debian as root"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    opened.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    opened.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return write(content(SEGMENTS, NIGHTS), tmp_path_factory.mktemp("report"))


@pytest.fixture
def shown(browser, page):
    """The page as it opens on a laptop; afterwards nothing may have gone wrong in the console."""
    browser.set_window_size(*LAPTOP)
    browser.get("about:blank")
    browser.get(page.as_uri())
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def ids(browser) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "#segments tbody tr")
    return [row.get_attribute("data-id") for row in rows if row.is_displayed()]


def open_segment(browser, name: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f'#segments tr[data-id="{name}"] a').click()
    WebDriverWait(browser, 10).until(lambda found: found.find_element(By.ID, "detail").is_displayed())


def tab(browser, name: str) -> str:
    browser.find_element(By.ID, f"tab-{name}").click()
    return browser.find_element(By.ID, "panel").text


def test_recommended_segments_come_first_and_then_the_largest(shown):
    parts = {one.id: one for one in content(SEGMENTS, NIGHTS).segments}
    found = ids(shown)
    assert found[0] == "segment_004" and len(found) == SEGMENTS
    sizes = [parts[name].figures["customers"] for name in found[1:]]
    assert sizes == sorted(sizes, reverse=True)
    first = shown.find_element(By.CSS_SELECTOR, "#segments tbody tr")
    assert first.find_element(By.CSS_SELECTOR, "a .icon").get_attribute("aria-label") == "recommended: star"
    assert first.find_element(By.TAG_NAME, "polyline").get_attribute("points")
    frozen = shown.find_element(By.CSS_SELECTOR, 'tr[data-id="segment_001"]')
    grey = shown.find_element(By.CSS_SELECTOR, 'tr[data-id="segment_003"]')
    assert frozen.find_elements(By.CSS_SELECTOR, ".lock") and "grey" in grey.get_attribute("class")


@pytest.mark.parametrize("column", ["size", "revenue", "created", "title"])
def test_a_column_sorts_both_ways(shown, column):
    button = shown.find_element(By.CSS_SELECTOR, f'[data-sort="{column}"]')

    def values() -> list:
        rows = shown.find_elements(By.CSS_SELECTOR, "#segments tbody tr")
        texts = [row.get_attribute(f"data-{column}") for row in rows if row.get_attribute(f"data-{column}")]
        return [float(text) for text in texts] if column in ("size", "revenue") else [text.lower() for text in texts]

    button.click()
    ascending = values()
    head = shown.find_element(By.XPATH, f"//button[@data-sort='{column}']/..")
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert head.get_attribute("aria-sort") == "descending" and values() == ascending[::-1]
    if column != "title":
        assert ascending == sorted(ascending) and len(set(ascending)) > 3


def test_search_and_filters_meet(shown):
    parts = content(SEGMENTS, NIGHTS).segments

    def put(place: str, text: str) -> None:
        shown.execute_script(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', {bubbles: true}));", place, text,
        )

    put("search", "number 1")
    assert set(ids(shown)) == {one.id for one in parts if "number 1" in one.title}
    put("search", "INACTIVE")
    assert ids(shown) == ["segment_003"]
    put("search", "")
    put("least", "3")
    put("from", "2024-07-05")
    expected = {one.id for one in parts if one.figures["customers"] >= 3 and one.created.isoformat() >= "2024-07-05"}
    assert set(ids(shown)) == expected and 0 < len(expected) < SEGMENTS
    assert shown.find_element(By.ID, "count").text.split()[0] == str(len(expected))


def test_tabs_by_mouse_and_by_keyboard(shown):
    open_segment(shown, "segment_004")
    assert shown.find_element(By.ID, "detail-title").text == "Segment number 4"
    assert "members" in shown.find_element(By.ID, "panel").text
    assert "entered" in tab(shown, "Growth").lower()
    WebDriverWait(shown, 20).until(lambda found: len(found.find_elements(By.CSS_SELECTOR, ".chart svg")) == 2)
    first = shown.find_element(By.ID, "tab-Growth")
    first.send_keys(Keys.ARROW_RIGHT)
    assert shown.switch_to.active_element.get_attribute("id") == "tab-Customers"
    assert shown.switch_to.active_element.get_attribute("aria-selected") == "true"
    assert "a***" in shown.find_element(By.ID, "panel").text
    shown.switch_to.active_element.send_keys(Keys.END)
    words = shown.find_element(By.ID, "panel").text
    for text in ("ordered at least twice in 90 days", "id: segment_004", "SELECT 1 -- </script>", "edited"):
        assert text in words
    shown.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert shown.switch_to.active_element.get_attribute("id") == "tab-Summary"


def test_the_list_is_reached_and_opened_by_keyboard(shown):
    shown.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert shown.switch_to.active_element.get_attribute("class") == "skip"
    link = shown.find_element(By.CSS_SELECTOR, "#segments tbody a")
    link.send_keys(Keys.ENTER)
    WebDriverWait(shown, 10).until(lambda found: found.find_element(By.ID, "detail").is_displayed())
    assert shown.switch_to.active_element.get_attribute("id") == "detail"


def test_three_segments_compared_overlap_as_counted(shown):
    known = content(SEGMENTS, NIGHTS)
    open_segment(shown, "segment_000")
    tab(shown, "Compare")
    for place in (1, 4):
        Select(shown.find_element(By.ID, "other")).select_by_value(str(place))
    rows = shown.find_elements(By.CSS_SELECTOR, "#compared table")[0].find_elements(By.CSS_SELECTOR, "tbody tr")
    found = {row.find_element(By.TAG_NAME, "th").text: row.find_elements(By.TAG_NAME, "td")[0].text for row in rows}
    expected = {
        " and ".join(known.segments[place].title for place in places):
            str(sum(all(place in own for place in places) for own in known.sample.customers))
        for count in (1, 2, 3) for places in combinations((0, 1, 4), count)
    }
    assert found == expected
    shown.find_element(By.XPATH, "//button[text()='remove Segment number 1']").click()
    assert len(shown.find_elements(By.CSS_SELECTOR, "#compared table")[0].find_elements(By.CSS_SELECTOR, "tbody tr")) == 3


def test_a_set_of_conf_is_exact_and_any_other_choice_estimated(browser, tmp_path):
    places = (0, 1, 3, 4)
    known = content(SEGMENTS, NIGHTS, customers=3000, sampled=200, exact=places)
    everybody = content(SEGMENTS, NIGHTS, customers=3000).sample.customers
    browser.get(write(known, tmp_path).as_uri())
    open_segment(browser, "segment_001")
    tab(browser, "Compare")
    browser.find_element(By.CSS_SELECTOR, "#sets button").click()

    def overlaps() -> dict[str, tuple[str, str]]:
        rows = browser.find_elements(By.CSS_SELECTOR, "#compared table")[0].find_elements(By.CSS_SELECTOR, "tbody tr")
        cells = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]
        return {name: (customers.replace(",", ""), how) for name, customers, how in cells}

    titles = {place: known.segments[place].title for place in range(SEGMENTS)}
    order = (1, 0, 3, 4)
    assert overlaps() == {
        " and ".join(titles[place] for place in order if place in some):
            (str(sum(own.issuperset(some) for own in map(set, everybody))), "exact")
        for count in range(1, 5) for some in combinations(order, count)
    }
    browser.find_element(By.XPATH, f"//button[text()='remove {titles[4]}']").click()
    Select(browser.find_element(By.ID, "other")).select_by_value("5")
    estimated = {name for name, (_, how) in overlaps().items() if how.startswith("estimated")}
    assert estimated == {name for name in overlaps() if titles[5] in name and name.count(" and ") > 1}
    browser.find_element(By.CSS_SELECTOR, "#detail a").click()
    open_segment(browser, "segment_007")
    tab(browser, "Compare")
    assert not browser.find_elements(By.ID, "sets")


def test_a_name_like_a_script_is_text(shown):
    open_segment(shown, "segment_002")
    assert shown.find_element(By.ID, "detail-title").text == EVIL
    assert shown.title.startswith("shop: segments on")


def test_no_other_script_runs(shown):
    shown.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.foreign = 1'; document.head.append(s);"
    )
    assert shown.execute_script("return window.foreign") is None
    (told,) = [entry["message"] for entry in shown.get_log("browser")]
    assert "Content Security Policy" in told


def test_nothing_that_the_data_says_ends_its_script():
    page = render(content(SEGMENTS, NIGHTS))
    assert page.count(EVIL) == 0 and page.count("</script>") == 4
    assert "\u2028" not in embedded("\u2028")


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_or_is_cut(browser, shown, tmp_path, size, scheme):
    preferred = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preferred]})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE,
    })
    open_segment(browser, "segment_004")
    for name in ("Summary", "Compare", "Growth", "Customers", "Definition"):
        tab(browser, name)
        assert browser.execute_script(FAULTS) == [], name
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]
    assert browser.get_screenshot_as_file(str(tmp_path / "page.png"))
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


#: Names of elements that are wider than the page outside of a scrolling box, cut off, or on top of a neighbour.
FAULTS = """
const wide = document.documentElement.clientWidth, found = [];
const name = (e) => `${e.tagName} ${e.id} ${e.className} ${e.textContent.slice(0, 30)}`;
for (const e of document.querySelectorAll("h1,h2,h3,p,label,button,input,select,td,th,pre,.chart")) {
  const box = e.getBoundingClientRect();
  if (!box.width || e.closest("thead") && getComputedStyle(e.closest("thead")).position === "absolute") continue;
  if (e.matches(".skip")) continue;
  if (!e.closest(".wide, pre") && box.right > wide + 1) found.push(`beyond the page: ${name(e)}`);
  if (e.scrollWidth > e.clientWidth + 1 && !["auto", "visible"].includes(getComputedStyle(e).overflowX)
      && !e.matches("input,select")) found.push(`cut: ${name(e)}`);
}
for (const row of document.querySelectorAll("form, [role=tablist], .choices, tbody tr")) {
  const boxes = [...row.children].map((e) => [e, e.getBoundingClientRect()]).filter(([, box]) => box.width);
  for (const [n, [one, a]] of boxes.entries()) for (const [other, b] of boxes.slice(n + 1)) {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) found.push(`overlap: ${name(one)} and ${name(other)}`);
  }
}
return found;
"""


def printed(browser, page: str, scheme: str) -> None:
    """The page as it is laid out for paper, A4 without margins, on a screen that is light or dark."""
    browser.set_window_size(794, 1123)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    browser.get("about:blank")
    browser.get(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_has_what_is_open_in_black_on_white_and_no_controls(browser, page, scheme):
    def displayed(selector: str) -> list[bool]:
        return [one.is_displayed() for one in browser.find_elements(By.CSS_SELECTOR, selector)]

    try:
        printed(browser, page.as_uri(), scheme)
        assert displayed("#list h2") == [True] and len(displayed("#segments tbody tr")) == SEGMENTS
        assert not any(displayed("form, form input, .skip"))
        assert browser.execute_script(
            "return [...document.querySelectorAll('thead button')].every((one) => getComputedStyle(one).display === 'contents')"
        )
        printed(browser, f"{page.as_uri()}#segment=segment_004", scheme)
        WebDriverWait(browser, 10).until(lambda found: found.find_element(By.ID, "detail").is_displayed())
        assert displayed("#list") == [False] and not any(displayed("[role=tablist], [role=tab], select"))
        # The tab is not there to be clicked.
        browser.execute_script("document.getElementById('tab-Growth').click()")
        WebDriverWait(browser, 20).until(lambda found: len(found.find_elements(By.CSS_SELECTOR, ".chart svg")) == 2)
        assert browser.execute_script(
            "const width = document.documentElement.clientWidth;"
            "return [...document.querySelectorAll('#detail table, .chart svg, pre')]"
            ".every((one) => one.getBoundingClientRect().right <= width + 1)"
        )
        back, text = (
            browser.execute_script(f"return getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
        )
        assert (back, text) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
        assert browser.execute_cdp_cmd("Page.printToPDF", {})["data"].startswith("JVBERi0"), "%PDF-, in base 64"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_five_hundred_segments_and_two_years_of_nights_fit(browser, tmp_path):
    page = write(content(500, 730, sampled=4000), tmp_path)
    assert page.stat().st_size < 15_000_000
    browser.get(page.as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, "#segments tbody tr")) == 500
    script = "return performance.getEntriesByType('paint').find((e) => e.name === 'first-contentful-paint').startTime"
    painted = WebDriverWait(browser, 30).until(lambda found: found.execute_script(script))
    print(f"{page.stat().st_size / 1e6:.1f} MB, first paint after {painted:.0f} ms")


def test_where_a_segment_went_is_told(shown):
    open_segment(shown, "segment_000")
    said = tab(shown, "Sent")
    assert "60 held out, 7 without consent" in said and "1.5 h" in said and EVIL in said
    assert "4 no longer" in said and "welcome mail done 41 2" in said.replace("\n", " ")
    open_segment(shown, "segment_001")
    assert not shown.find_elements(By.ID, "tab-Sent"), "what went nowhere has no such tab"
