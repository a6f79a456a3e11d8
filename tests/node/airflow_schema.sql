-- The tables of Airflow 3.3.2 that the masters' own services read, with their indexes, as its models define them;
-- without the foreign keys, whose tables nobody here reads.
CREATE TABLE task_instance (
    id UUID NOT NULL,
    task_id VARCHAR(250) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    run_id VARCHAR(250) NOT NULL,
    map_index INTEGER DEFAULT '-1' NOT NULL,
    start_date TIMESTAMP WITH TIME ZONE,
    end_date TIMESTAMP WITH TIME ZONE,
    duration FLOAT,
    state VARCHAR(20),
    try_number INTEGER NOT NULL,
    max_tries INTEGER DEFAULT '-1' NOT NULL,
    hostname VARCHAR(1000),
    unixname VARCHAR(1000),
    pool VARCHAR(256) NOT NULL,
    pool_slots INTEGER NOT NULL,
    queue VARCHAR(256),
    priority_weight INTEGER,
    operator VARCHAR(1000),
    custom_operator_name VARCHAR(1000),
    queued_dttm TIMESTAMP WITH TIME ZONE,
    scheduled_dttm TIMESTAMP WITH TIME ZONE,
    queued_by_job_id INTEGER,
    last_heartbeat_at TIMESTAMP WITH TIME ZONE,
    pid INTEGER,
    executor VARCHAR(1000),
    executor_config BYTEA,
    updated_at TIMESTAMP WITH TIME ZONE,
    rendered_map_index VARCHAR(250),
    context_carrier JSONB,
    span_status VARCHAR(250) DEFAULT 'not_started' NOT NULL,
    external_executor_id TEXT,
    trigger_id INTEGER,
    trigger_timeout TIMESTAMP WITH TIME ZONE,
    next_method VARCHAR(1000),
    next_kwargs JSONB,
    task_display_name VARCHAR(2000),
    dag_version_id UUID,
    retry_delay_override FLOAT,
    retry_reason VARCHAR(500),
    CONSTRAINT task_instance_pkey PRIMARY KEY (id),
    CONSTRAINT task_instance_composite_key UNIQUE (dag_id, task_id, run_id, map_index)
);
CREATE INDEX ti_dag_run ON task_instance (dag_id, run_id);
CREATE INDEX ti_dag_state ON task_instance (dag_id, state);
CREATE INDEX ti_dag_version_id ON task_instance (dag_version_id);
CREATE INDEX ti_heartbeat ON task_instance (last_heartbeat_at);
CREATE INDEX ti_pool ON task_instance (pool, state, priority_weight);
CREATE INDEX ti_state ON task_instance (state);
CREATE INDEX ti_state_lkp ON task_instance (dag_id, task_id, run_id, state);
CREATE INDEX ti_trigger_id ON task_instance (trigger_id);

CREATE TABLE dag_run (
    id SERIAL NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE,
    logical_date TIMESTAMP WITH TIME ZONE,
    start_date TIMESTAMP WITH TIME ZONE,
    end_date TIMESTAMP WITH TIME ZONE,
    state VARCHAR(50),
    run_id VARCHAR(250) NOT NULL,
    creating_job_id INTEGER,
    run_type VARCHAR(50) NOT NULL,
    triggered_by VARCHAR(50),
    triggering_user_name VARCHAR(512),
    conf JSONB,
    data_interval_start TIMESTAMP WITH TIME ZONE,
    data_interval_end TIMESTAMP WITH TIME ZONE,
    run_after TIMESTAMP WITH TIME ZONE NOT NULL,
    last_scheduling_decision TIMESTAMP WITH TIME ZONE,
    log_template_id INTEGER,
    created_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    clear_number INTEGER DEFAULT '0' NOT NULL,
    backfill_id INTEGER,
    bundle_version VARCHAR(250),
    scheduled_by_job_id INTEGER,
    context_carrier JSONB,
    span_status VARCHAR(250) DEFAULT 'not_started' NOT NULL,
    created_dag_version_id UUID,
    partition_key VARCHAR(250),
    partition_date TIMESTAMP WITH TIME ZONE,
    CONSTRAINT dag_run_pkey PRIMARY KEY (id),
    CONSTRAINT dag_run_dag_id_run_id_key UNIQUE (dag_id, run_id),
    CONSTRAINT dag_run_dag_id_logical_date_key UNIQUE (dag_id, logical_date)
);
CREATE INDEX dag_id_state ON dag_run (dag_id, state);
CREATE INDEX idx_dag_run_created_dag_version_id ON dag_run (created_dag_version_id);
CREATE INDEX idx_dag_run_dag_id ON dag_run (dag_id);
CREATE INDEX idx_dag_run_queued_dags ON dag_run (state, dag_id) WHERE state = 'queued';
CREATE INDEX idx_dag_run_run_after ON dag_run (run_after);
CREATE INDEX idx_dag_run_running_dags ON dag_run (state, dag_id) WHERE state = 'running';

CREATE TABLE dag (
    dag_id VARCHAR(250) NOT NULL,
    is_paused BOOLEAN NOT NULL,
    is_stale BOOLEAN NOT NULL,
    exceeds_max_non_backfill BOOLEAN DEFAULT '0' NOT NULL,
    last_parsed_time TIMESTAMP WITH TIME ZONE,
    last_parse_duration FLOAT,
    last_expired TIMESTAMP WITH TIME ZONE,
    fileloc VARCHAR(2000),
    relative_fileloc VARCHAR(2000),
    bundle_name VARCHAR(250) NOT NULL,
    bundle_version VARCHAR(200),
    owners VARCHAR(2000),
    dag_display_name VARCHAR(2000),
    description TEXT,
    timetable_type VARCHAR(255) NOT NULL,
    timetable_summary TEXT,
    timetable_description VARCHAR(1000),
    timetable_partitioned BOOLEAN DEFAULT '0' NOT NULL,
    timetable_periodic BOOLEAN DEFAULT '0' NOT NULL,
    partition_mapper_info JSON NOT NULL,
    asset_expression JSON,
    deadline JSON,
    max_active_tasks INTEGER NOT NULL,
    max_active_runs INTEGER,
    max_consecutive_failed_dag_runs INTEGER NOT NULL,
    has_task_concurrency_limits BOOLEAN NOT NULL,
    has_import_errors BOOLEAN DEFAULT '0',
    fail_fast BOOLEAN DEFAULT '0' NOT NULL,
    allowed_run_types JSON,
    next_dagrun TIMESTAMP WITH TIME ZONE,
    next_dagrun_data_interval_start TIMESTAMP WITH TIME ZONE,
    next_dagrun_data_interval_end TIMESTAMP WITH TIME ZONE,
    next_dagrun_partition_key VARCHAR(255),
    next_dagrun_partition_date TIMESTAMP WITH TIME ZONE,
    next_dagrun_create_after TIMESTAMP WITH TIME ZONE,
    CONSTRAINT dag_pkey PRIMARY KEY (dag_id)
);
CREATE INDEX idx_next_dagrun_create_after ON dag (next_dagrun_create_after);

CREATE TABLE job (
    id SERIAL NOT NULL,
    dag_id VARCHAR(250),
    state VARCHAR(20),
    job_type VARCHAR(30),
    start_date TIMESTAMP WITH TIME ZONE,
    end_date TIMESTAMP WITH TIME ZONE,
    latest_heartbeat TIMESTAMP WITH TIME ZONE,
    executor_class VARCHAR(500),
    hostname VARCHAR(500),
    unixname VARCHAR(1000),
    CONSTRAINT job_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_job_dag_id ON job (dag_id);
CREATE INDEX idx_job_state_heartbeat ON job (state, latest_heartbeat);
CREATE INDEX job_type_heart ON job (job_type, latest_heartbeat);

CREATE TABLE log (
    id SERIAL NOT NULL,
    dttm TIMESTAMP WITH TIME ZONE,
    dag_id VARCHAR(250),
    task_id VARCHAR(250),
    map_index INTEGER,
    event VARCHAR(60) NOT NULL,
    logical_date TIMESTAMP WITH TIME ZONE,
    run_id VARCHAR(250),
    owner VARCHAR(500),
    owner_display_name VARCHAR(500),
    extra TEXT,
    try_number INTEGER,
    CONSTRAINT log_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_log_dttm ON log (dttm);
CREATE INDEX idx_log_event ON log (event);
CREATE INDEX idx_log_task_instance ON log (dag_id, task_id, run_id, map_index, try_number);

CREATE TABLE import_error (
    id SERIAL NOT NULL,
    timestamp TIMESTAMP WITH TIME ZONE,
    filename VARCHAR(1024),
    bundle_name VARCHAR(250),
    stacktrace TEXT,
    CONSTRAINT import_error_pkey PRIMARY KEY (id)
);

CREATE TABLE deadline (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    dagrun_id INTEGER,
    deadline_time TIMESTAMP WITH TIME ZONE NOT NULL,
    missed BOOLEAN NOT NULL,
    callback_id UUID NOT NULL,
    deadline_alert_id UUID,
    CONSTRAINT deadline_pkey PRIMARY KEY (id)
);
CREATE INDEX deadline_missed_deadline_time_idx ON deadline (missed, deadline_time);
CREATE INDEX deadline_callback_id_idx ON deadline (callback_id);
