"""Numbers in place of free text: which runs of characters it has, condensed to a few components.

A text is cut into all its runs of two to four characters; each is weighted by how rare it is among the rows (TF-IDF),
and a truncated singular value decomposition of the training rows condenses them (latent semantic analysis). Texts that
share parts of words are near each other, so that 'Firefighter III' tells something of a 'Firefighter IV' that no
training row has. All of it is scikit-learn's own, so that a saved model needs nothing of Lockstep to be loaded.
"""

from operator import methodcaller

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

CUT = {"analyzer": "char", "ngram_range": (2, 4)}
"""How scikit-learn cuts a text, in lower case, with one blank in place of several."""
MAX_RUNS = 3_000
"""Different runs of characters that are looked at, those that most texts have: the model keeps them."""
MAX_LOOKED_AT = 20_000
"""Different texts, evenly spaced, that tell which runs these are."""


def text_components(texts: pd.DataFrame, components: int, seed: int) -> Pipeline:
    """An unfitted transformer of columns of texts to float64 numbers, (n_rows, n_columns * components) at most; a
    missing text has no characters, and 0 in all its components.

    Args:
        texts: (n_rows, n_columns) the training rows, each column with two different texts at least.
        components: of each column; fewer where it has fewer different texts, or runs of characters.
        seed: of the vector that the decomposition starts from, on which no more than last bits depend.
    """
    columns = []
    for number, name in enumerate(map(str, texts), 1):
        runs = runs_of(texts[name])
        different = texts[name].str.lower().str.split().str.join(" ").nunique()  # as CUT sees them
        if min(len(runs), different) < 2:
            continue
        most = min(components, different, len(runs) - 1, len(texts) - 1)
        # ARPACK finds the components themselves, where the randomized algorithm leaves some chance in them.
        condense = TruncatedSVD(most, algorithm="arpack", random_state=seed)
        weigh = TfidfVectorizer(**CUT, vocabulary=runs)
        columns.append((str(number), Pipeline([("weigh", weigh), ("condense", condense)]), name))
    return Pipeline(
        [
            ("cast", FunctionTransformer(methodcaller("astype", "str"), feature_names_out="one-to-one")),
            ("fill", FunctionTransformer(methodcaller("fillna", ""), feature_names_out="one-to-one")),
            ("encode", ColumnTransformer(columns)),
        ]
    )


def runs_of(texts: pd.Series) -> list[str]:
    """The runs of characters that most of the different texts of a column have, sorted, MAX_RUNS at most; none where it
    is empty, or each of its texts is a single character."""
    levels = texts.dropna().unique()
    counter = CountVectorizer(**CUT, binary=True)
    try:
        counts = counter.fit_transform(levels[:: 1 + len(levels) // MAX_LOOKED_AT]).sum(axis=0)
    except ValueError:  # its way to say that there are none
        return []
    # Not by its max_features, which leaves it to the processor which of equally frequent ones are taken.
    order = np.argsort(-np.asarray(counts).ravel(), kind="stable")[:MAX_RUNS]
    return sorted(counter.get_feature_names_out()[order].tolist())


def names_of_components(fitted: Pipeline) -> list[str]:
    """What the numbers that a fitted transformer gives are called: 'title: text 1', 'title: text 2', ..."""
    return [
        f"{column}: text {number}"
        for kind, condensed, column in fitted.named_steps["encode"].transformers_
        if kind != "remainder"
        for number in range(1, condensed.named_steps["condense"].components_.shape[0] + 1)
    ]
