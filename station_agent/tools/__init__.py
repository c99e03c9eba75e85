"""External programs, one file each: is it there, how is it called, what does it answer.

Media are hostile input. So: our own time-out and output bound around every run, the whole process group killed when
either is exceeded, names always given as ``file:`` URLs or through a link of our own choosing, only the protocols
``file`` and ``pipe``, and only the demuxers listed in ``ffprobe.DEMUXERS``.
"""
