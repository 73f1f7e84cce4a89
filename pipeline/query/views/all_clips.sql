-- Every clip that was planned, tried, rejected or put into a shard, and what became of it. `status`: kept, rejected
-- (`stage`, `reason`, `detail` and "at" say where, why and when), or waiting. `tar` holds its members, from `tar_offset`.
WITH planned_clips AS (
    SELECT clip_id, video_id, n, start_ms, end_ms, text, category_id, confidence, language, caption_kind, flags
    FROM clips QUALIFY row_number() OVER (PARTITION BY clip_id ORDER BY part DESC, "row" DESC) = 1
),
made AS (
    SELECT clip_id, video_id, n, key, channel_id, category_id, status, reason, error_message, start_ms, end_ms,
        width, height, fps, codec, motion, flags, pack, pack_offset, members
    FROM packs QUALIFY row_number() OVER (PARTITION BY clip_id ORDER BY part DESC, "row" DESC) = 1
),
lost AS (SELECT clip_id, video_id, stage, reason, detail, "at" FROM rejects_in_force WHERE clip_id <> ''),
looked_at AS (
    SELECT video_id, url, title, channel_id, channel, license, upload_date
    FROM videos QUALIFY row_number() OVER (PARTITION BY video_id ORDER BY part DESC, "row" DESC) = 1
),
every AS (
    SELECT clip_id, video_id FROM planned_clips UNION SELECT clip_id, video_id FROM made
    UNION SELECT clip_id, video_id FROM samples UNION SELECT clip_id, video_id FROM lost
),
ends AS (
    SELECT f.video_id, f.stage, f.reason, f.kept, coalesce(r.detail, '') AS detail, coalesce(r."at", '') AS "at",
        s.clips_kept
    FROM fates f
    LEFT JOIN (FROM rejects_in_force WHERE clip_id = '') r USING (video_id)
    LEFT JOIN selection s USING (video_id)
),
seen AS (
    SELECT video_id, n, bytes FROM stills
    QUALIFY row_number() OVER (PARTITION BY video_id, n ORDER BY part DESC, "row" DESC) = 1
),
repeats AS (
    SELECT video_id, n, min(other_video_id || '.' || other_n) AS other FROM matches WHERE what = 'clips' GROUP BY ALL
),
-- Clips of kept videos that were made and are not kept. The selection knows how many of them repeat others: those before
-- its last kept clip are sure, then come those with a match.
left_out AS (
    SELECT m.clip_id, p.other, row_number() OVER (
        PARTITION BY m.video_id ORDER BY m.n > list_max(s.clips_kept), p.other IS NULL, m.n
    ) <= f.n_tried - f.n_failed - f.n_selectable AS is_repeat
    FROM made m
    JOIN fates f ON f.video_id = m.video_id AND f.kept
    JOIN selection s ON s.video_id = m.video_id
    LEFT JOIN repeats p ON p.video_id = m.video_id AND p.n = m.n
    WHERE m.status = 'success' AND NOT list_contains(s.clips_kept, m.n)
),
joined AS (
    SELECT e.clip_id, e.video_id, coalesce(s.key, m.key, '') AS key,
        coalesce(c.n, m.n, try_cast(regexp_extract(e.clip_id, '[.]([0-9]+)$', 1) AS INTEGER), -1) AS n,
        coalesce(v.title, '') AS title, coalesce(nullif(s.url, ''), v.url, '') AS url,
        coalesce(nullif(s.channel_id, ''), v.channel_id, m.channel_id, '') AS channel_id,
        coalesce(v.channel, '') AS channel,
        coalesce(s.category_id, m.category_id, c.category_id, -1) AS category_id,
        coalesce(v.license, '') AS license, coalesce(nullif(s.language, ''), c.language, '') AS language,
        coalesce(nullif(s.caption_kind, ''), c.caption_kind, '') AS caption_kind,
        coalesce(try_cast(substr(v.upload_date, 1, 4) AS INTEGER), 0) AS year,
        coalesce(s.start_ms, m.start_ms, c.start_ms, 0) AS start_ms,
        coalesce(s.end_ms, m.end_ms, c.end_ms, 0) AS end_ms,
        coalesce(s.caption, c.text, '') AS text,
        coalesce(s.width, m.width, 0) AS width, coalesce(s.height, m.height, 0) AS height,
        coalesce(s.fps, m.fps, 0) AS fps, coalesce(s.codec, m.codec, '') AS codec,
        coalesce(s.motion, m.motion, -1) AS motion, coalesce(s.blur, -1) AS blur,
        coalesce(s.text_share, -1) AS text_share, coalesce(s.entropy, -1) AS entropy,
        coalesce(s.speech_share, -1) AS speech_share, w.scores,
        coalesce(nullif(s.alignment_confidence, 0), c.confidence, 0) AS confidence,
        coalesce(nullif(s.flags, ''), nullif(m.flags, ''), c.flags, '') AS flags,
        coalesce(s.shard, '') AS shard, coalesce(s.split, '') AS split, coalesce(s.generation, -1) AS generation,
        coalesce(s.shard, nullif(m.pack, ''), '') AS tar,
        CASE WHEN s.shard IS NULL THEN coalesce(m.pack_offset, 0) ELSE 0 END AS tar_offset,
        coalesce(s.members, m.members, '{}') AS members,
        s.shard IS NOT NULL OR (x.kept AND m.status = 'success' AND list_contains(x.clips_kept, m.n)) AS is_kept,
        l.stage AS own_stage, l.reason AS own_reason, l.detail AS own_detail, l."at" AS own_at,
        m.status <> 'success' AS has_failed, m.reason AS failed_for, m.error_message,
        x.stage AS video_stage, x.reason AS video_reason, x.detail AS video_detail, x."at" AS video_at,
        coalesce(i.bytes, 0) AS still_bytes, o.clip_id IS NOT NULL AS is_left_out, o.is_repeat, o.other
    FROM every e
    LEFT JOIN samples s USING (clip_id)
    LEFT JOIN scores w ON w.key = s.key
    LEFT JOIN made m USING (clip_id)
    LEFT JOIN planned_clips c USING (clip_id)
    LEFT JOIN lost l USING (clip_id)
    LEFT JOIN looked_at v ON v.video_id = e.video_id
    LEFT JOIN ends x ON x.video_id = e.video_id
    LEFT JOIN seen i ON i.video_id = e.video_id AND i.n = m.n
    LEFT JOIN left_out o ON o.clip_id = e.clip_id
),
ended AS (
    SELECT *, CASE WHEN shard = '' AND starts_with(video_id, 'removed-') THEN 'removed' WHEN is_kept THEN 'kept'
        WHEN own_reason IS NOT NULL THEN 'own' WHEN has_failed THEN 'failed'
        WHEN video_reason <> '' THEN 'video' WHEN is_left_out THEN 'left out' ELSE 'waiting' END AS ended
    FROM joined
)
SELECT clip_id, key, video_id, n,
    CASE ended WHEN 'kept' THEN 'kept' WHEN 'waiting' THEN 'waiting' ELSE 'rejected' END AS status,
    CASE ended WHEN 'own' THEN own_stage WHEN 'failed' THEN 'media' WHEN 'video' THEN video_stage
        WHEN 'removed' THEN 'shards'
        WHEN 'left out' THEN 'balance' ELSE '' END AS stage,
    CASE ended WHEN 'own' THEN own_reason WHEN 'failed' THEN failed_for WHEN 'video' THEN video_reason
        WHEN 'removed' THEN 'opted_out'
        WHEN 'left out' THEN if(is_repeat, 'duplicate_clip', 'over_quota') ELSE '' END AS reason,
    CASE ended WHEN 'own' THEN own_detail WHEN 'failed' THEN error_message
        WHEN 'video' THEN concat_ws(': ', 'with its video', nullif(video_detail, ''))
        WHEN 'left out' THEN if(is_repeat, coalesce('as ' || other, ''), '') ELSE '' END AS detail,
    CASE ended WHEN 'own' THEN own_at WHEN 'video' THEN video_at ELSE '' END AS "at",
    title, url, channel_id, channel, coalesce(category, 'uncategorised') AS category, license, language, caption_kind,
    year, start_ms, end_ms, (end_ms - start_ms) / 1000 AS seconds,
    len(string_split_regex(trim(text), '\s+')) AS words, text, width, height, fps, codec, motion, blur, text_share,
    entropy, confidence, speech_share, scores,
    CAST(from_json(if(json_valid(flags), flags, '[]'), '["VARCHAR"]') AS VARCHAR[]) AS flags,
    shard, split, generation, tar, tar_offset, members,
    if(reason = 'opted_out', 0, still_bytes) AS still_bytes
FROM ended LEFT JOIN categories USING (category_id)
