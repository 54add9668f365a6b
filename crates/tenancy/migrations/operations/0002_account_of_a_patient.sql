-- Whose chart an account reads is said once, when it is made for that chart, and a chart has one account at most.
REVOKE UPDATE (patient) ON :schema.person FROM :role;
CREATE UNIQUE INDEX person_of_patient ON :schema.person (patient) WHERE left_at IS NULL;
