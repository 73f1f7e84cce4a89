-- The latest reject of each video (clip_id '') and of each clip, unless it has passed the stage since: `stages.void_by`
-- is the table where a row that did not fail shows that.
SELECT "stage", "video_id", "clip_id", "reason", "class", "detail", "attempts", "at", "next_try_at", "node"
FROM (
    SELECT r.*, s.rank
    FROM held.rejects r JOIN stages s USING (stage)
    WHERE NOT (s.void_by = 'videos' AND r.clip_id = '' AND r.video_id IN (SELECT video_id FROM held.videos))
      AND NOT (s.void_by = 'transcripts' AND r.clip_id = '' AND r.video_id IN (SELECT video_id FROM held.transcripts))
      AND NOT (s.void_by = 'clips' AND r.clip_id = '' AND r.video_id IN (SELECT video_id FROM held.clips))
      AND NOT (s.void_by = 'clips' AND r.clip_id <> '' AND r.clip_id IN (SELECT clip_id FROM held.clips))
      AND NOT (s.void_by = 'packs' AND r.clip_id = ''
               AND r.video_id IN (SELECT video_id FROM held.packs WHERE status = 'success'))
      AND NOT (s.void_by = 'packs' AND r.clip_id <> ''
               AND r.clip_id IN (SELECT clip_id FROM held.packs WHERE status = 'success'))
)
QUALIFY row_number() OVER (PARTITION BY video_id, clip_id ORDER BY "at" DESC, rank DESC, part DESC, row DESC) = 1
