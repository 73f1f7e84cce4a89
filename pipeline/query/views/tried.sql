-- Clips by video that the media stage tried, and that failed.
SELECT video_id, sum(amount)::BIGINT AS n_tried, coalesce(sum(amount) FILTER (NOT made), 0)::BIGINT AS n_failed
FROM outcomes GROUP BY video_id
