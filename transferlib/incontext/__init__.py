"""Learning in the prompt: no weight changes, the examples stand in the text, and the answers are scored.

:mod:`~transferlib.incontext.prompts` writes the text, and :mod:`~transferlib.incontext.scoring` asks a causal language
model how likely each answer is after it; :mod:`~transferlib.incontext.prefixes` does so fast for prompts that begin
alike. :mod:`~transferlib.incontext.calibration` takes off what the model likes whatever was asked, and
:mod:`~transferlib.incontext.ranking` judges the order of the questions, where that bias does not count.
:mod:`~transferlib.incontext.induction` finds the heads that copy, and switches them off.
"""
