"""The plain alternative that serve.py compares ``python -m lockstep serve`` with: FastAPI, a model, no checks.

MODEL=models/iris/random_forest_classifier_v1.joblib uvicorn --app-dir benchmarks plain_serve:app
"""

import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI

model = joblib.load(os.environ["MODEL"])
app = FastAPI()


@app.post("/predict")
def predict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is predicted of the rows, alone."""
    return {"predictions": model.predict(pd.DataFrame(rows)).tolist()}


@app.post("/probabilities")
def probabilities(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same, and the probability of each class."""
    frame = pd.DataFrame(rows)
    return {"predictions": model.predict(frame).tolist(), "probabilities": model.predict_proba(frame).tolist()}
