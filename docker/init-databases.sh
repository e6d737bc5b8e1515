#!/bin/sh
# Postgres runs this once, when its volume is empty: one role and one database per service, so that none can read
# another's tables. Names are fixed (compose.yaml uses them); passwords come from the environment.
set -eu

create() { # name, password
	psql --quiet -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres -v name="$1" -v password="$2" <<-'SQL'
		CREATE ROLE :"name" LOGIN PASSWORD :'password';
		CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
		REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
	SQL
}

create airflow "${AIRFLOW_DB_PASSWORD:?set AIRFLOW_DB_PASSWORD}"
create mlflow "${MLFLOW_DB_PASSWORD:?set MLFLOW_DB_PASSWORD}"
create ftcore "${FTCORE_DB_PASSWORD:?set FTCORE_DB_PASSWORD}"
