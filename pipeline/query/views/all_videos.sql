-- Every candidate, and what became of it: `status` is kept, rejected (`stage`, `reason`, `detail` and "at" say where, why
-- and when), or waiting. Of a video that was rejected before it was looked at, the listings tell title and channel.
WITH looked_at AS (
    FROM videos QUALIFY row_number() OVER (PARTITION BY video_id ORDER BY part DESC, "row" DESC) = 1
),
listed AS (
    SELECT video_id, max(title) AS title, max(channel_id) AS channel_id, max(duration_s) AS duration_s
    FROM listings GROUP BY video_id
),
said AS (SELECT video_id, max(language) AS language, max(kind) AS caption_kind FROM transcripts GROUP BY video_id),
lost AS (SELECT video_id, detail, "at" FROM rejects_in_force WHERE clip_id = ''),
found AS (SELECT video_id, max(source) AS source FROM candidates GROUP BY video_id)
SELECT '' AS clip_id, '' AS key, f.video_id, -1 AS n,
    CASE WHEN f.kept THEN 'kept' WHEN f.reason <> '' THEN 'rejected' ELSE 'waiting' END AS status,
    f.stage, f.reason, coalesce(r.detail, '') AS detail, coalesce(r."at", '') AS "at",
    coalesce(v.title, i.title, '') AS title,
    coalesce(v.url, if(found.source IN ('search', 'grown', 'channel', 'playlist', 'lists')
        AND regexp_full_match(f.video_id, '[A-Za-z0-9_-]{11}'), 'https://www.youtube.com/watch?v=' || f.video_id, ''))
        AS url,
    coalesce(v.channel_id, i.channel_id, '') AS channel_id, coalesce(v.channel, '') AS channel,
    coalesce(v.category, 'uncategorised') AS category, coalesce(v.license, '') AS license,
    coalesce(t.language, v.language, '') AS language, coalesce(t.caption_kind, '') AS caption_kind,
    coalesce(try_cast(substr(v.upload_date, 1, 4) AS INTEGER), 0) AS year,
    coalesce(v.duration_s, i.duration_s, 0) AS seconds, f.n_planned, f.n_tried, f.n_kept
FROM fates f
LEFT JOIN looked_at v USING (video_id)
LEFT JOIN listed i USING (video_id)
LEFT JOIN said t USING (video_id)
LEFT JOIN lost r USING (video_id)
LEFT JOIN found USING (video_id)
