"""The page in headless Chromium: `python page_in_chromium.py CHROMIUM PICTURES [URL]`. Without URL against stand_in_server.py, with every check; with
it against a real server, where only what any model gives is checked. Screenshots go to the folder PICTURES."""
import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

HERE = Path(__file__).resolve().parent


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def stand_in(key=""):
    port = free_port()
    server = subprocess.Popen([sys.executable, str(HERE / "stand_in_server.py"), str(port)] + ([key] if key else []))
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url + "/asked").close()
                break
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


class Reader:
    """A page and what a reader does with it; `problems` collects what the browser complains about."""

    def __init__(self, browser, url, pictures, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.pictures, self.problems = pictures, []
        self.page.on("pageerror", lambda error: self.problems.append(f"error in the page: {error}"))
        self.page.on("console", lambda said: self.problems.append(f"console: {said.text}") if self.is_problem(said) else None)
        self.page.goto(url)
        expect(self.page.locator("#server")).not_to_contain_text("Asking", timeout=20000)

    @staticmethod
    def is_problem(said):
        # A browser also reports each status of 400 and more, which the page shows itself.
        return said.type in ("error", "warning") and "Failed to load resource" not in said.text

    def ask(self, question, first=None, second=None, wait=True):
        if first:
            self.page.select_option("#adapter-0", first)
        self.page.set_checked("#compare", second is not None)
        if second:
            self.page.select_option("#adapter-1", second)
        self.page.fill("#message", question)
        self.page.press("#message", "Enter")
        if wait:
            expect(self.page.locator("#stop")).to_be_disabled(timeout=120000)
        return self.page.locator("#turns > li").last

    def picture(self, name):
        self.page.screenshot(path=str(self.pictures / f"{name}.png"))

    def accessible(self):
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def close(self):
        assert not self.problems, self.problems
        self.context.close()


def any_model(reader):
    """What holds for any server: an answer streams in, with its figures, and nobody complains."""
    turn = reader.ask("What is the capital of France?")
    assert turn.locator(".text").text_content().strip()
    assert re.search(r"\d+ tokens?\b.* tokens/s .* first after \d+\.\d\d s", turn.locator(".facts").text_content()), turn.text_content()
    assert turn.locator(".error").count() == 0, turn.text_content()
    return turn


def question_and_answer(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760})
    turn = any_model(reader)
    assert "Paris" in turn.locator(".text").text_content()
    assert "prompt 31 tokens" in turn.locator(".facts").text_content()
    assert "Paris" in reader.page.locator("#spoken").text_content(), "an answer is read aloud once it is complete"
    reader.ask("Write a loop.", "code")
    assert reader.page.locator(".text pre").count() == 2
    assert "for (int row" in reader.page.locator(".text pre code").first.text_content()
    reader.picture("light")
    reader.accessible()
    # The conversation is sent along, with the system message and the options.
    reader.page.fill("#system", "Be brief.")
    reader.page.fill("#temperature", "0")
    reader.page.fill("#max-tokens", "3")
    turn = reader.ask("Why?", "law")
    assert "stopped at max tokens" in turn.locator(".facts").text_content()
    asked = json.load(urllib.request.urlopen(url + "/asked"))["asked"][-1]
    assert [message["role"] for message in asked["messages"]] == ["system", "user", "assistant", "user", "assistant", "user"], asked
    assert asked["temperature"] == 0 and asked["max_tokens"] == 3 and asked["model"] == "law", asked
    # What is not a number of tokens is not sent.
    reader.page.fill("#max-tokens", "-1")
    reader.ask("And now?", wait=False)
    assert reader.page.locator("#turns > li").count() == 3
    reader.page.fill("#max-tokens", "9")
    reader.page.click("#clear")
    assert reader.page.locator("#turns > li").count() == 0
    reader.close()


def side_by_side(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760}, color_scheme="dark")
    reader.ask("What is the capital of France?", "SmolLM2-135M-Instruct", "pirate")
    turn = reader.ask("And what does it lie on?", "SmolLM2-135M-Instruct", "pirate")
    boxes = [turn.locator(".answer").nth(place).bounding_box() for place in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"], boxes
    asked = json.load(urllib.request.urlopen(url + "/asked"))["asked"][-2:]
    asked = {body["model"]: body["messages"][1]["content"] for body in asked}
    assert "Arr" in asked["pirate"] and "Arr" not in asked["SmolLM2-135M-Instruct"], "each goes on from its own answers"
    reader.picture("compare_dark")
    reader.accessible()
    reader.close()


def narrow(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 360, "height": 700}, color_scheme="dark", has_touch=True)
    assert reader.page.locator("#settings").get_attribute("open") is None
    reader.page.click("summary")
    reader.picture("narrow_settings")
    reader.ask("What is the capital of France?", "pirate", "markup")
    reader.page.click("summary")
    wide = reader.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360, f"the page is {wide} pixels wide"
    reader.picture("narrow_dark")
    reader.accessible()
    reader.close()


def hostile_text(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760})
    turn = reader.ask("<b>Show</b> me <img src=x onerror=alert(1)>", "markup")
    assert reader.page.evaluate("window.injected") is None
    assert turn.locator("img, script, b").count() == 0
    assert "<script>" in turn.locator(".text").text_content()
    reader.close()


def failures(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760})
    turn = reader.ask("What is the capital of France?", "gone", "fails")
    said = turn.locator(".error").all_text_contents()
    assert said[0].startswith("There is no model `gone`. Nearest names:") and "not finite" in said[1], said
    assert turn.locator(".text").nth(1).text_content().startswith("This answer begins")
    reader.picture("errors")
    reader.accessible()
    turn = reader.ask("Once more?", "breaks")
    assert "connection ended" in turn.locator(".error").text_content()
    turn.locator(".again").click()
    expect(reader.page.locator("#stop")).to_be_disabled()
    expect(turn.locator(".error")).to_have_count(1)
    reader.close()


def stopping(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760})
    turn = reader.ask("Count.", "slow", wait=False)
    expect(turn.locator(".text")).to_contain_text("word word word")
    reader.picture("running")
    reader.page.keyboard.press("Escape")
    expect(turn.locator(".facts")).to_contain_text("stopped")
    assert turn.locator(".error").count() == 0
    for _ in range(50):
        if json.load(urllib.request.urlopen(url + "/asked"))["vanished"]:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the connection stays open after Escape")
    reader.close()


def keyboard_only(browser, url, pictures):
    reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760})
    reader.page.evaluate("document.querySelector('.skip').focus()")
    order = []
    for _ in range(20):
        reader.page.keyboard.press("Tab")
        order.append(reader.page.evaluate("document.activeElement.id || document.activeElement.localName"))
        if order[-1] == "clear":
            break
    wanted = ["summary", "adapter-0", "compare", "reload", "system", "temperature", "max-tokens", "key", "main", "message", "send", "clear"]
    assert order == wanted, order
    reader.page.keyboard.press("Shift+Tab")
    reader.page.keyboard.press("Shift+Tab")
    reader.page.keyboard.type("Hello")
    reader.page.keyboard.press("Shift+Enter")
    reader.page.keyboard.type("there")
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("Enter")
    expect(reader.page.locator(".question")).to_contain_text("Hello\nthere")
    expect(reader.page.locator("#stop")).to_be_disabled(timeout=20000)
    reader.close()


def with_a_key(browser, pictures):
    with stand_in("sesame") as url:
        reader = Reader(browser, url, pictures, viewport={"width": 1200, "height": 760})
        expect(reader.page.locator("#server")).to_contain_text("Enter the API key")
        reader.picture("key_wanted")
        reader.accessible()
        reader.page.fill("#key", "sesame")
        reader.page.press("#key", "Tab")
        expect(reader.page.locator("#server")).to_contain_text("8 adapters")
        assert "Paris" in reader.ask("What is the capital of France?").text_content()
        assert reader.page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
        reader.close()


def main():
    chromium, pictures, *rest = sys.argv[1:]
    pictures = Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if rest:
            reader = Reader(browser, rest[0], pictures, viewport={"width": 1200, "height": 760})
            any_model(reader)
            names = reader.page.locator("#adapter-0 option").evaluate_all("options => options.map(option => option.value)")
            reader.ask("Who are you?", names[0], names[-1])
            reader.picture("real")
            reader.accessible()
            reader.close()
            print("page: an answer and two side by side from the real server")
            return
        with stand_in() as url:
            for check in (question_and_answer, side_by_side, narrow, hostile_text, failures, stopping, keyboard_only):
                check(browser, url, pictures)
                print(f"page: {check.__name__} passed")
        with_a_key(browser, pictures)
        print("page: with_a_key passed")


if __name__ == "__main__":
    main()
