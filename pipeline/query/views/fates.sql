-- What became of every candidate: a row a video. `stage` and `reason` say where and why it was left out, '' if it was not.
-- What the selection kept is kept, unless its pack was lost; else a reject in force says why, or the selection itself.
-- Of a purged video nothing is left but a name like this: all of its clips go with it.
WITH whole AS (
    SELECT video_id, stage, reason, builds_on
    FROM rejects_in_force JOIN stages USING (stage) WHERE clip_id = ''
),
everyone AS (
    SELECT video_id FROM candidates UNION SELECT video_id FROM videos
    UNION SELECT video_id FROM whole UNION SELECT video_id FROM selection
),
joined AS (
    SELECT e.video_id,
        greatest(coalesce(n_planned, 0), coalesce(n_tried, 0)) AS n_planned,
        coalesce(n_tried, 0) AS n_tried, coalesce(n_failed, 0) AS n_failed,
        coalesce(s.n_clips, 0) AS n_selectable, coalesce(len(s.clips_kept), 0) AS n_kept,
        coalesce(s.reason, '') AS selected_reason, w.stage AS rejected_at, w.reason AS rejected_for,
        w.stage IS NOT NULL AND (coalesce(len(s.clips_kept), 0) = 0 OR w.builds_on = 'shards') AS is_rejected,
        n_tried IS NOT NULL AND NOT coalesce(r.of_balance, false) AS of_media,
        starts_with(e.video_id, 'removed-') AS is_removed
    FROM everyone e
    LEFT JOIN selection s USING (video_id)
    LEFT JOIN planned USING (video_id)
    LEFT JOIN tried USING (video_id)
    LEFT JOIN whole w USING (video_id)
    LEFT JOIN reasons r ON r.reason = s.reason
)
SELECT video_id,
    CASE WHEN is_removed THEN 'shards' WHEN is_rejected THEN rejected_at WHEN selected_reason = '' THEN ''
        WHEN of_media THEN 'media' ELSE 'balance' END AS stage,
    CASE WHEN is_removed THEN 'opted_out' WHEN is_rejected THEN rejected_for ELSE selected_reason END AS reason,
    n_kept > 0 AND NOT is_removed AND NOT is_rejected AND selected_reason = '' AS kept,
    n_planned, n_tried, if(is_removed, 0, n_failed) AS n_failed, n_selectable, n_kept
FROM joined
