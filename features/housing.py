"""Your own features of the problem 'housing': what is made of its rows before anything else is done with them.

To have some, define them below. They are used in training, cross-validation, evaluation and ``predict`` alike, and are
part of the saved model (docs/own-code.md). For example:

    import pandas as pd

    def features(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(area=rows["width"] * rows["length"])
"""
