"""The ways of cutting a clip out of a video.

span.py      what is asked for and what comes out
window.py    the packets of a span, from the keyframe before it
mp4.py       packets or frames into mp4 bytes without an edit list
remux.py     mode remux and mode keyframe: packets as they are
exact.py     mode exact: pictures encoded anew
audio.py     sound that has to be encoded
"""
