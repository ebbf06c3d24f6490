"""What the simulated guarantor and the simulated commercial insurer do alike, written from their specifications.

``rows`` is what they remember, ``books`` changes it, ``wire`` answers signed questions, ``notify`` sends notices,
``control`` is the port by which tests make them misbehave.
"""
