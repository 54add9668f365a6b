-- How whoever began the recovery of a patient's account identified the patient, who stood before them.
ALTER TABLE :schema.account_recovery
  ADD COLUMN identified_by text CHECK (identified_by IN ('photo_id', 'personally_known'));
