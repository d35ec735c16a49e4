"""A load test against a platform of yours, by Locust (`pip install locust`; Jobyard does not need it).

    JOBYARD_API_KEY=jy_… locust -f ops/bench/locustfile.py --host http://127.0.0.1:8080

Each user submits a job, one in five waits for its result, and one in ten submits a batch of a hundred. Which
job is up to you: BENCH_KIND and BENCH_PAYLOAD (JSON). Without them it is a page of the API itself, which
`web.fetch` refuses unless JOBYARD_WEB_ALLOW has the address: a job all the same. Point it at nobody else's.
"""

import json
import os

from locust import HttpUser, between, task

KIND = os.environ.get("BENCH_KIND", "web.fetch")
PAYLOAD = json.loads(os.environ.get("BENCH_PAYLOAD", '{"url": "http://127.0.0.1:8080/healthz"}'))
JOB = {"kind": KIND, "payload": PAYLOAD}


class Client(HttpUser):
    """One client of the platform, with a key of its own or everybody's."""

    wait_time = between(0.05, 0.5)

    def on_start(self) -> None:
        """Show the key with every request."""
        self.client.headers["Authorization"] = f"Bearer {os.environ['JOBYARD_API_KEY']}"

    @task(7)
    def submit(self) -> None:
        """Submit and go."""
        self.client.post("/v1/jobs", json=JOB)

    @task(2)
    def submit_and_wait(self) -> None:
        """Submit and stay for the result."""
        name = "/v1/jobs (Prefer: wait)"
        self.client.post("/v1/jobs", json=JOB, headers={"Prefer": "wait=30"}, name=name)

    @task(1)
    def batch(self) -> None:
        """Submit a hundred at once."""
        self.client.post("/v1/batches", json={"jobs": [JOB] * 100})
