"""Drives the page of the explorer in a browser, and reads what it shows."""

import base64
import io
import json

import numpy as np
import torch
from PIL import Image


def pixels(browser, what, model) -> np.ndarray:
    """The grey or red levels of a canvas, H x W."""
    canvas = f"document.querySelector('[data-what={what}][data-model=\"{model}\"]')"
    height, width, *data = browser.run(
        f"(c => [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])({canvas})"
    )
    return np.array(data, np.uint8).reshape(height, width, 4)[..., 0]


def code(browser) -> torch.Tensor:
    """The code of the active model, as its sliders stand."""
    sliders = browser.run(
        "[...document.querySelectorAll('#sliders input')].map(s => [+s.dataset.unit, s.valueAsNumber])"
    )
    return torch.tensor([[value for _, value in sorted(sliders)]])


def grey(images: torch.Tensor) -> np.ndarray:
    return np.rint(images.detach().clamp(0, 1).numpy()[0, 0] * 255)


def check_text(browser, models: int) -> str:
    """What the page says of its networks, once it has checked all of them."""
    browser.wait(f"document.querySelectorAll('#check li').length === {models}")
    return browser.run("document.getElementById('check').innerText")


def click(browser, selector):
    browser.run(f"document.querySelector({json.dumps(selector)}).click()")
    browser.settle()


def choose(browser, selector, index):
    browser.run(
        f"(s => {{ s.selectedIndex = {index}; s.dispatchEvent(new Event('change')) }})"
        f"(document.querySelector({json.dumps(selector)}))"
    )
    browser.settle()


def slide(browser, selector, value):
    slider = f"document.querySelector({json.dumps(selector)})"
    browser.run(f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input')) }})({slider})")
    browser.settle()


def drop(browser, image: Image.Image, name: str = "dropped.png"):
    image.save(file := io.BytesIO(), "PNG")
    content = json.dumps(base64.b64encode(file.getvalue()).decode())
    browser.run(f"""(async () => {{
        const blob = Uint8Array.from(atob({content}), c => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([blob], {json.dumps(name)}, {{type: "image/png"}}));
        document.body.dispatchEvent(new DragEvent("drop", {{dataTransfer: transfer, bubbles: true, cancelable: true}}));
    }})()""")
    browser.wait(f"document.querySelector('.stage').innerText.includes({json.dumps(name)})")
    browser.settle()
