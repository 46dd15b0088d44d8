"""Push: sending the runs of jobs that have an `endpoint_url` there, and recording what was answered."""
