"""Publication of enforcement (行政执法公示): what was decided, in time, without what must not be published.

Source: 运政办〔2019〕3号 一（一）; 行政处罚法 第四十八条、第八十五条.
"""
