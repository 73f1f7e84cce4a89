-- The clips that were ever rejected, by the table where a row makes the reject void.
SELECT DISTINCT void_by, clip_id FROM rejects JOIN stages USING (stage) WHERE clip_id <> ''
