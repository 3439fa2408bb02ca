"""Learning in the prompt: no weight changes, the examples stand in the text, and the answers are scored.

:mod:`~transferlib.incontext.prompts` writes the text, :mod:`~transferlib.incontext.scoring` asks a causal language model
how likely each answer is after it (:mod:`~transferlib.incontext.prefixes` reads the examples once),
:mod:`~transferlib.incontext.calibration` takes off what the model likes whatever was
asked, :mod:`~transferlib.incontext.ranking` judges the order of the answers where the bias is still in, and
:mod:`~transferlib.incontext.induction` finds the heads that copy, and switches them off.
"""
