"""The page /docs: what a row may hold, an example, and a form that sends it. It needs no other file, and no network."""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from lockstep.deployment.serving.predicting import RowScorer
from lockstep.deployment.serving.row_schema import allowed, example_row
from lockstep.deployment.serving.service import Limits

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; }
pre, textarea, code { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; }
textarea { width: 100%; box-sizing: border-box; }
td, dd { overflow-wrap: anywhere; }
"""
_SCRIPT = """
document.querySelector("form").addEventListener("submit", async event => {
  event.preventDefault();
  const [rows, answer] = [document.querySelector("#rows"), document.querySelector("#answer")];
  try {
    const found = await fetch("predict", {
      method: "POST", headers: {"Content-Type": "application/json"}, body: rows.value,
    });
    // As text: JavaScript would round whole numbers beyond 2^53.
    answer.textContent = found.status + "\\n" + await found.text();
  } catch (error) {
    answer.textContent = error;
  }
});
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; connect-src 'self'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page: nothing from elsewhere."""


def docs_page(scorer: RowScorer, model: Mapping[str, Any], limits: Limits) -> str:
    """The page, as HTML; ``model``: what ``service.plain_model`` gives."""
    row = json.dumps(example_row(scorer), ensure_ascii=False, indent=1)
    columns = "\n".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(allowed(scorer, name))}</td></tr>"
        for name in scorer.types
    )
    facts = "\n".join(
        f"<dt>{escape(str(name))}</dt><dd><code>{escape(str(value))}</code></dd>" for name, value in model.items()
    )
    title = f"Predictions of {escape(str(model['problem']))}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p><code>POST /predict</code> takes a row, or a list of rows, in JSON (<code>application/json</code>), or a table in
CSV (<code>text/csv</code>): at most {limits.rows:,} rows and {limits.body:,} bytes at once. A column <code>id</code>,
or the one that <code>?id=COLUMN</code> names, comes back with each prediction. With <code>Accept: text/csv</code> the
answer is the file that <code>python -m lockstep predict</code> writes. Also here: <code>/health</code>,
<code>/ready</code>, <code>/metrics</code>, <a href="openapi.json"><code>/openapi.json</code></a>.</p>
<h2>Columns</h2>
<table>
<thead><tr><th scope="col">Column</th><th scope="col">What the contract allows</th></tr></thead>
<tbody>
{columns}
</tbody>
</table>
<h2>Try it</h2>
<form>
<label for="rows">Rows</label>
<textarea id="rows" rows="{min(row.count(chr(10)) + 2, 30)}" spellcheck="false">{escape(row)}</textarea>
<button>Predict</button>
</form>
<pre id="answer" aria-live="polite"></pre>
<h2>Model</h2>
<dl>
{facts}
</dl>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""
