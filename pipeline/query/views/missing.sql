-- Videos that a stage should have decided on but has not: `stage` is the first that is missing.
WITH latest AS (
    SELECT video_id, max(step) AS step FROM (
        SELECT video_id, 1 AS step FROM candidates
        UNION ALL SELECT video_id, 2 FROM videos
        UNION ALL SELECT video_id, 3 FROM transcripts
        UNION ALL SELECT video_id, 4 FROM planned
        UNION ALL SELECT video_id, 5 FROM tried
    ) GROUP BY video_id
),
settled AS (SELECT video_id FROM rejects_in_force WHERE clip_id = '')
SELECT ['extract', 'transcripts', 'clips', 'balance', 'balance'][step] AS stage, video_id
FROM latest ANTI JOIN settled USING (video_id) ANTI JOIN selection USING (video_id)
UNION ALL
SELECT 'media', video_id
FROM selection ANTI JOIN settled USING (video_id) ANTI JOIN tried USING (video_id)
WHERE len(clips_kept) > 0
