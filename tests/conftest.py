"""What every test shares."""

from hypothesis import HealthCheck, settings

# The machine is shared and slow at times: a slow draw is no defect, and the run says what it found, not how fast.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
