"""The page of `lowrank compare` in headless Chromium: `python comparison_page.py CHROMIUM PICTURES [INDEX_HTML]`. Without a page, a small comparison
of SERVING_MODEL makes one. Screenshots in both themes go to the folder PICTURES."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """
model: {model}
benchmark: jsonl
source: {folder}
benchmark_options: {{metrics: [rouge_l, chrf]}}
output: {folder}/out
training: {{steps: 4, batch_size: 2, eval_every: 2}}
generation: {{max_new_tokens: 8, temperature: 0}}
latency_tokens: 2
seeds: [1, 2]
methods:
  - {{method: lora, label: "LoRA <img src=x onerror=alert(1)>", rank: 2, learning_rates: [1.0e-3, 2.0e-3]}}
  - {{method: prompt_tuning, num_virtual_tokens: 4, lr: 1.0e-2}}
"""


def small_comparison(folder):
    rows = (ROOT / "examples/demo/rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, part in (("train", rows[:16]), ("validation", rows[16:20]), ("test", rows[20:24])):
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    file = folder / "comparison.yaml"
    file.write_text(CONFIGURATION.format(model=os.environ["SERVING_MODEL"], folder=folder), encoding="utf-8")
    subprocess.run([os.environ["SERVING_PROGRAM"], "compare", str(file)], check=True)
    return folder / "out" / "index.html"


def column(page, number):
    return page.locator(f"#methods tbody tr > :nth-child({number})").all_text_contents()


def is_problem(said):
    # The checks themselves read what is drawn.
    return said.type in ("error", "warning") and "willReadFrequently" not in said.text


def look(browser, path, scheme, pictures):
    problems = []
    context = browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(f"error in the page: {error}"))
    page.on("console", lambda said: problems.append(said.text) if is_problem(said) else None)
    page.on("request", lambda asked: problems.append(f"asks for {asked.url}") if not asked.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(path.resolve().as_uri())
    given = column(page, 1)
    assert len(given) >= 2, given
    # A heading sorts, a second press the other way round, empty cells last.
    page.click("#methods thead button >> text=trained parameters")
    rising = [int(text.replace(",", "")) for text in column(page, 2)]
    assert rising == sorted(rising), rising
    assert page.locator("#methods th[aria-sort=ascending]").count() == 1
    page.click("#methods thead button >> text=trained parameters")
    assert [int(text.replace(",", "")) for text in column(page, 2)] == rising[::-1]
    # Charts have something on them, for each quality.
    for quality in range(page.locator("#metric option").count()):
        page.select_option("#metric", str(quality))
        for chart in ("parameters", "memory", "time", "training", "validation"):
            blank = page.evaluate("""id => { const canvas = document.getElementById(id);
                return canvas.closest('figure').hidden || !canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value); }""", chart)
            assert not blank, chart
    # A method that is left out is left out of all charts, and comes back.
    drawn = """() => ['parameters', 'training'].map(id => charts[id] ? charts[id].data.datasets.length : 0)"""
    all_methods = page.evaluate(drawn)
    first = page.locator("#legend button").first
    first.click()
    fewer = page.evaluate(drawn)
    assert first.get_attribute("aria-pressed") == "false" and all(few < many for few, many in zip(fewer, all_methods)), (fewer, all_methods)
    first.click()
    assert page.evaluate(drawn) == all_methods
    if page.locator("#row option").count() > 1:
        page.select_option("#row", "1")
    assert page.locator("#samples .answer").count() >= 2
    assert page.locator("img").count() == 0
    page.screenshot(path=str(pictures / f"comparison_{scheme}.png"), full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 360, "height": 700})
    page.wait_for_timeout(1000)  # charts follow the window's size when they are idle
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360, f"the page is {wide} pixels wide"
    assert not problems, problems
    context.close()


def main():
    chromium, pictures, *rest = sys.argv[1:]
    pictures = Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(rest[0]) if rest else small_comparison(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"], timeout=600000)
        for scheme in ("light", "dark"):
            look(browser, path, scheme, pictures)
            print(f"comparison: the page passed in {scheme} colours")


if __name__ == "__main__":
    main()
