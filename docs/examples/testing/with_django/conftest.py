import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo


@pytest.fixture(scope="session")
def pq_dsn(django_db_setup: None) -> str:
    """Have pq's schema in Django's test database."""
    settings = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return make_conninfo("", **{name: settings[key] for name, key in names.items() if settings[key]})
