"""The page as the real server sends it: `python page_of_server.py CHROMIUM PICTURES`."""
import subprocess
import sys
from pathlib import Path

from serving import Server, arguments_of_test, train_adapters

lowrank, model, _, folder = arguments_of_test()
with Server(lowrank, model, train_adapters(lowrank, model, folder, 2)) as server:
    subprocess.run([sys.executable, Path(__file__).parent / "page_in_chromium.py", *sys.argv[1:3], server.url], check=True)
