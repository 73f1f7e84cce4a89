-- Planned clips that are not kept: how many at which stage for which reason. Those of a kept video that repeat others or
-- are beyond a quota were left out by the balance.
WITH kept AS (
    SELECT n_tried - n_failed AS n_made, n_kept, greatest(0, n_tried - n_failed - n_selectable) AS n_repeats
    FROM fates WHERE kept
)
SELECT stage, reason, sum(amount)::BIGINT AS amount FROM (
    SELECT stage, reason, count(*) AS amount
    FROM rejects_in_force JOIN stages USING (stage)
    WHERE clip_id <> '' AND builds_on = 'clips' GROUP BY ALL
    UNION ALL SELECT 'media', reason, sum(amount) FROM outcomes
    WHERE NOT made AND NOT starts_with(video_id, 'removed-') GROUP BY reason
    UNION ALL SELECT stage, reason, sum(n_planned - n_failed) FROM fates WHERE stage <> '' GROUP BY ALL
    UNION ALL SELECT 'balance', 'duplicate_clip', sum(n_repeats) FROM kept
    UNION ALL SELECT 'balance', 'over_quota', sum(greatest(0, n_made - n_repeats - n_kept)) FROM kept
) GROUP BY ALL HAVING sum(amount) > 0
