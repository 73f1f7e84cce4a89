-- Clips that the media stage tried, by video and outcome: `reason` is '' for those that were made.
SELECT video_id, CASE WHEN status = 'success' THEN '' ELSE reason END AS reason, status = 'success' AS made, count(*) AS amount
FROM packs GROUP BY ALL
