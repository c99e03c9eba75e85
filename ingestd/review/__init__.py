"""Legal review of major decisions (重大执法决定法制审核): no such decision without a review that was passed.

Source: 运政办〔2019〕3号 一（三）; 行政处罚法 第五十八条.
"""
