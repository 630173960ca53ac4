-- The control plane: who there is, what may be called, what was done. Times are microseconds since 1970.

-- Rises with every write that the data plane or the directory has to learn of. Its row is also the lock that puts
-- those writes in one order.
CREATE TABLE revision (
    id smallint PRIMARY KEY CHECK (id = 1),
    value bigint NOT NULL
);
INSERT INTO revision (id, value) VALUES (1, 0);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL CONSTRAINT users_email_unique UNIQUE,
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    password_hash text,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    disabled boolean NOT NULL,
    epoch bigint NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    version bigint NOT NULL
);

-- A login and all that is refreshed from it. It counts while it is neither revoked nor over, and the user's epoch is
-- still the one it was opened under.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch bigint NOT NULL,
    created bigint NOT NULL,
    expires bigint NOT NULL,
    revoked bigint
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created bigint NOT NULL,
    used bigint,
    child bytea
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

CREATE TABLE password_resets (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires bigint NOT NULL
);
CREATE INDEX password_resets_user ON password_resets (user_id);

CREATE TABLE service_accounts (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT service_accounts_name_unique UNIQUE,
    role text CHECK (role IN ('viewer', 'operator', 'admin')),
    class text NOT NULL CHECK (class IN ('low', 'normal', 'high')),
    disabled boolean NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    service_account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created bigint NOT NULL,
    expires bigint,
    last_used bigint,
    revoked bigint
);
CREATE INDEX api_keys_service_account ON api_keys (service_account_id, id);

-- json, not jsonb: a document comes back as it was written, with every digit of its numbers.
CREATE TABLE upstreams (
    name text COLLATE "C" CONSTRAINT upstreams_name_unique PRIMARY KEY,
    spec json NOT NULL,
    revision bigint NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL,
    updated_by text NOT NULL
);

CREATE TABLE upstream_revisions (
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('created', 'replaced', 'rolled_back', 'deleted')),
    spec json,
    at bigint NOT NULL,
    by_whom text NOT NULL,
    PRIMARY KEY (name, revision)
);

-- For upstreams of every source, so there may be no row of that name in upstreams.
CREATE TABLE credentials (
    upstream text COLLATE "C" PRIMARY KEY,
    binding text NOT NULL,
    version bigint NOT NULL,
    kid text NOT NULL,
    sealed bytea NOT NULL,
    updated bigint NOT NULL,
    updated_by text NOT NULL
);

-- An empty operation is the upstream's own breaker.
CREATE TABLE breaker_overrides (
    upstream text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    mode text NOT NULL CHECK (mode IN ('forced_open', 'forced_closed', 'metrics_only')),
    reason text NOT NULL,
    expires bigint,
    set_at bigint NOT NULL,
    set_by text NOT NULL,
    PRIMARY KEY (upstream, operation)
);

CREATE TABLE audit (
    id uuid PRIMARY KEY,
    at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    actor_id uuid,
    action text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    details json NOT NULL,
    address text,
    request text
);
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_target ON audit (target, id);
