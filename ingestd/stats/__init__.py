"""Statistics of whole-process records (统计分析): what must be on video and is, by unit, officer, type and month.

Source: 运政办〔2019〕3号 一（二）3. Every figure is the length of the list behind it, which the page links to.
"""
