-- Planned clips by video.
SELECT video_id, count(*) AS n_planned FROM clips GROUP BY video_id
