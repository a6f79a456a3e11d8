"""Flask AppBuilder's settings: what neither Airflow's options nor their defaults say."""

import os
from urllib.parse import urlsplit

from flask_appbuilder.const import AUTH_DB  # ty: ignore[import-not-found] - a part of Airflow, which only nodes have

# Signs sessions, remembered logins and forms. Flask's default is [api] secret_key, which workers have for their logs:
# a task could forge the session of any user.
SECRET_KEY = os.environ["FLASK_SECRET_KEY"]
AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None

# Login attempts are counted in the broker's second database, so that all api-servers share one count. A password may
# hold anything, so the URL is taken apart rather than searched.
RATELIMIT_STORAGE_URI = urlsplit(os.environ["AIRFLOW__CELERY__BROKER_URL"])._replace(path="/1").geturl()
RATELIMIT_KEY_PREFIX = "airflow"
# Without the broker each api-server counts for itself; nobody is locked out, and nobody may try without limit.
RATELIMIT_IN_MEMORY_FALLBACK_ENABLED = True
