-- The latest reject of each video (clip_id '') and of each clip, unless it has passed the stage since: `stages.void_by`
-- is the table where a row that did not fail shows that.
WITH passed AS (
    SELECT 'videos' AS void_by, video_id, '' AS clip_id FROM videos
    UNION ALL SELECT 'transcripts', video_id, '' FROM transcripts
    UNION ALL SELECT 'clips', video_id, '' FROM planned
    UNION ALL SELECT 'packs', video_id, '' FROM tried WHERE n_tried > n_failed
    UNION ALL SELECT 'clips', video_id, clip_id
        FROM clips SEMI JOIN (FROM rejected_clips WHERE void_by = 'clips') USING (clip_id)
    UNION ALL SELECT 'packs', video_id, clip_id
        FROM packs SEMI JOIN (FROM rejected_clips WHERE void_by = 'packs') USING (clip_id) WHERE status = 'success'
)
SELECT r.* EXCLUDE (rank, void_by)
FROM (SELECT rejects.*, rank, void_by FROM rejects JOIN stages USING (stage)) r
ANTI JOIN passed USING (void_by, video_id, clip_id)
QUALIFY row_number() OVER (PARTITION BY video_id, clip_id ORDER BY "at" DESC, rank DESC, stage DESC, reason DESC) = 1
