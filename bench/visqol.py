# SPDX-License-Identifier: MPL-2.0
"""Prints what ViSQOL (general audio, 48 kHz) thinks of a sound: `visqol.py source.wav sound.wav`."""

import sys

# This file has the name of the module that it uses.
sys.path.pop(0)
from visqol import VisqolApi  # noqa: E402

judge = VisqolApi()
judge.create(mode="audio")
print(f"{judge.measure(sys.argv[1], sys.argv[2]).moslqo:.4f}")
