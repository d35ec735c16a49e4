"""Lines of JSON for schemathesis, which knows but JSON: what it writes on one line is a batch of one job."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "application/json")
