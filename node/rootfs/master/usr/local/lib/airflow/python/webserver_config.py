"""Flask AppBuilder's settings for which Airflow has no options."""

import os
from urllib.parse import urlsplit

from flask_appbuilder.const import AUTH_DB  # ty: ignore[import-not-found] - a part of Airflow, which only nodes have

# Signs sessions, persistent logins and forms. The default is [api] secret_key, which workers have for their logs, and
# with which a task could forge the session of any user.
SECRET_KEY = os.environ["FLASK_SECRET_KEY"]
AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None

# Login attempts are counted in the broker's database 1, so that all api-servers share one count. The URL is parsed,
# because its password may contain any characters.
RATELIMIT_STORAGE_URI = urlsplit(os.environ["AIRFLOW__CELERY__BROKER_URL"])._replace(path="/1").geturl()
RATELIMIT_KEY_PREFIX = "airflow"
# Without the broker each api-server counts for itself: logins work, and are still limited.
RATELIMIT_IN_MEMORY_FALLBACK_ENABLED = True
