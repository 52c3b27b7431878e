//! Simplified Chinese.

use std::fmt::Write as _;

use admin_api::{
    EndpointState, EvictionClass, FillEnd, FillOrigin, FillPlace, FillWait, Level, LinkRole,
    Trouble, TroubleKind,
};

use super::{
    AboutText, ActivityText, CacheText, CommonText, DownloadsText, ExplainText, FrameText,
    ImageText, ImagesText, OverviewText, PlatformsText, ReadinessText, Text, UpstreamsText,
};

/// The words of this language.
pub(super) const CHINESE: Text = Text {
    frame: FRAME,
    common: COMMON,
    overview: OVERVIEW,
    downloads: DOWNLOADS,
    images: IMAGES,
    image: IMAGE,
    readiness: READINESS,
    upstreams: UPSTREAMS,
    platforms: PLATFORMS,
    cache: CACHE,
    explain: EXPLAIN,
    activity: ACTIVITY,
    about: ABOUT,
};

const FRAME: FrameText = FrameText {
    skip: "跳到正文",
    pages: "页面",
    languages: "语言",
    copy: "复制",
    copied: "已复制",
    changes_nothing: "此控制台不做任何更改：每项操作都以可复制的命令给出。",
    reload: "刷新",
    json: "此页的 JSON",
    overview: "概览",
    downloads: "下载",
    images: "镜像",
    image: "镜像详情",
    readiness: "架构就绪度",
    upstreams: "上游",
    platforms: "平台与客户端",
    cache: "缓存",
    explain: "解释",
    activity: "活动",
    about: "关于",
};

const COMMON: CommonText = CommonText {
    actions: "命令",
    platform: "平台",
    image: "镜像",
    upstream: "上游",
    state: "状态",
    cause: "原因",
    size: "大小",
    blobs: "数据块",
    digest: "摘要",
    time: "时间",
    since: "自",
    until: "至",
    used: "最近使用",
    requests: "请求",
    unknown: "未知",
    any: "任意",
    show: "显示",
    first_page: "第一页",
    next_page: "下一页",
    numbers: "数据",
    problem: "没有结果",
    whole: "完整",
    part: "部分",
    absent: "未缓存",
    lacks: "不存在",
    of,
    class,
};

const OVERVIEW: OverviewText = OverviewText {
    well: "一切正常。",
    trouble,
    hit_ratio: "按字节的命中率",
    saved_of: |saved, sent| format!("发送 {sent}，其中 {saved} 未经上游"),
    received: "自上游接收",
    requests: "请求",
    hits: |hits| format!("{hits} 次无需上游"),
    upstream_calls: "上游调用",
    pulls_left: "剩余拉取次数",
    disk: "磁盘",
    disk_of: |most, free| {
        free.map_or_else(
            || format!("上限 {most}"),
            |free| format!("上限 {most}；磁盘剩余 {free}"),
        )
    },
    fills: "当前下载",
    fills_of: |followers, waiting| format!("{followers} 个读取者；{waiting} 个等待"),
    errors: "返回客户端的错误",
    missing: "缺少平台",
    last_hour: "过去一小时",
    since_start: "自启动以来",
    running_since: "启动于",
    wanted: "所需平台",
    wanted_caption: "为所需平台缓存的镜像，每五分钟统计一次",
    wanted_none: "尚无所需平台：既未配置，也未学到。",
    images_whole: "完整镜像",
    images_part: "部分镜像",
    blockers: "缺少此平台的镜像：",
    history: "过去 24 小时",
    history_none: "尚无历史。",
    series,
    sum: |sum, most| format!("共 {sum}，每分钟最多 {most}"),
    last: |last, most| format!("当前 {last}，最多 {most}"),
};

const DOWNLOADS: DownloadsText = DownloadsText {
    sentence: |running, most| {
        if running == 0 {
            format!("当前没有下载。最多可同时进行 {most} 个。")
        } else {
            format!("{running} 个下载正在进行，最多 {most} 个。")
        }
    },
    running: "进行中",
    running_caption: "正在进行的下载，最早的在前",
    running_none: "没有。",
    ended: "已结束",
    ended_caption: "最近结束的下载，最新的在前",
    ended_none: "自启动以来没有。",
    download: "下载",
    progress: "进度",
    rate: "速度",
    connections: "连接",
    followers: "跟随者",
    started_by: "发起者",
    began: "开始",
    took: "用时",
    end: "结束",
    loading: "正在接收",
    resumed: |bytes| format!("从 {bytes} 处续传"),
    origin,
    place,
    waits,
    ending,
};

const IMAGES: ImagesText = ImagesText {
    filter: "名称包含，或用 * 和 ? 匹配",
    missing: "对此平台不完整",
    list: "已缓存的镜像",
    caption: "镜像，及其在各平台的缓存程度",
    none: "没有匹配的镜像。",
    clients: "客户端",
    stored: "已存储",
    tag: "标签",
    tag_state,
    legend: "● 完整：全部已缓存。◐ 部分：缓存了一部分。○ 未缓存。– 镜像没有此平台。",
    warm: "在被请求之前下载镜像",
    warm_missing: "列出对某平台不完整的镜像",
    as_report: "哪些镜像没有此平台",
};

const IMAGE: ImageText = ImageText {
    absent: "此镜像未缓存。",
    facts: "镜像",
    confirmed: "上游确认于",
    asked_again: "再次询问上游自",
    expires: "陈旧可用至",
    same_digest: "相同摘要的其他标签",
    parts: "平台",
    parts_caption: "索引中的镜像及其缓存程度",
    manifest: |name| format!("清单 {name}"),
    contents: "内容",
    links_caption: |name| format!("{name} 引用的内容"),
    links_none: "没有引用。",
    role,
    kept: "保留原因",
    stored: "已存储",
    annotations_caption: |name| format!("{name} 的注解"),
    annotation: "注解",
    value: "值",
    media_type: "媒体类型",
    warm: "下载全部内容",
    ready: "判断对某平台是否就绪",
    explain: "解释谁会得到什么",
    refresh: "立即向上游询问此标签",
    remove: "从缓存中删除",
};

const READINESS: ReadinessText = ReadinessText {
    ask: "所需平台",
    sentence: |platform, lacking, checked| {
        if lacking == 0 {
            format!("本页全部 {checked} 个镜像都有 {platform}。")
        } else {
            format!("本页 {checked} 个镜像中有 {lacking} 个没有 {platform}。")
        }
    },
    lacking: "谁在阻碍迁移",
    lacking_caption: |platform| format!("没有 {platform} 的镜像"),
    lacking_none: "没有：每个镜像都有此平台。",
    lacks: "缺少",
    has: "已有",
    unknown: "未知",
    unknown_caption: "因未缓存配置而不知平台的镜像",
    unknown_none: "所有镜像的平台均已知。",
    export: "完整报告（Markdown）",
    check: "在流水线中：缺少即失败",
    uncached: "存在此平台但未完整缓存的镜像",
};

const UPSTREAMS: UpstreamsText = UpstreamsText {
    endpoints: "端点",
    endpoints_caption: "询问上游的地址及其状态",
    none: "自启动以来未询问任何上游。",
    endpoint: "端点",
    credential: "凭据",
    expires: "令牌到期",
    endpoint_state: endpoint,
    calls: "调用",
    calls_caption: "对各上游的调用及其限额",
    rates: "配置的速率",
    left: |left| format!("剩余 {left}"),
    waiting: "等待",
    pulls_left: "剩余拉取次数",
    received: "已接收",
    answers: "应答",
    held: "被限制",
    kind_of_calls: calls,
    answer,
    offline: |pattern| format!("按配置从不询问 {pattern}：只提供已缓存的内容。"),
    check: "检查域名、证书、时钟和凭据",
};

const PLATFORMS: PlatformsText = PlatformsText {
    wanted: "保持就绪",
    default: "未声明的客户端",
    no_default: "无",
    facts: "概要",
    counts: "平台",
    counts_caption: "客户端请求的平台及其缓存",
    none: "暂无。",
    missing: "缺少",
    substitutions: "替换",
    nodes: "节点",
    hints: "如何识别客户端",
    hints_caption: "自启动以来平台的来源",
    programs: "程序",
    programs_caption: "自启动以来的请求，按其 User-Agent 所称的程序",
    program: "程序",
    no_program: "无 User-Agent",
    other_program: "其他",
    source: "来源",
    source_name: source,
    learned: "学到的平台",
    learned_caption: "客户端在各处拉取的平台；较早的权重更低",
    place: "位置",
    weights: "平台与权重",
    networks: "网络",
    networks_caption: "已配置平台的网络",
    network: "网络",
    connections: "当前连接",
    silent_nodes: "从未请求的节点",
    wishes: "客户端请求而此处没有的内容",
};

const CACHE: CacheText = CacheText {
    stored: "已存储",
    room: "余量",
    pinned: "被离线包固定",
    free: "磁盘剩余",
    free_of: |least| format!("为其他程序保留 {least}"),
    evicted: "已淘汰",
    next: "下一个淘汰",
    next_caption: "按淘汰顺序排列的数据块",
    next_none: "没有可淘汰的内容。",
    why: "原因",
    division: "空间占用",
    counted: "统计于",
    not_counted: "尚未统计。",
    by_class: "按淘汰类别",
    by_kind: "按类型",
    by_platform: "按平台",
    by_upstream: "按上游",
    by_repository: "最大的仓库",
    share: "占比",
    share_name: share,
    none: "没有内容。",
    verify: "检查损坏的数据块",
    usage: "在终端中查看",
    remove: "删除镜像",
};

const EXPLAIN: ExplainText = ExplainText {
    question: "谁会得到什么？",
    name: "镜像：[HOST/]REPOSITORY[:TAG|@DIGEST]",
    client: "客户端",
    platform: "声明的平台（Archway-Platform 头）",
    index: "索引",
    accepts: "可读取索引",
    accepts_not: "不能读取索引",
    submit: "解释",
    answer: "结果",
    gets: |name, status| format!("对于 {name}，客户端将得到状态 {status}。"),
    cannot_tell: "只有上游知道：此处没有缓存。",
    path: "请求",
    full_name: "完整名称",
    media_type: "媒体类型",
    why: "原因",
    mode: "resolve",
    followed: "采用",
    nobody: "无",
    said: "请求的声明",
    said_caption: "平台的来源，最可信的在前",
    said_none: "没有来源声明平台。",
    explicit: "类别",
    asked: "明确请求",
    identified: "识别得出",
    tag: "标签",
    rule: "规则",
    choice: "选择",
    choice_caption: "索引的条目及判定",
    choice_none: "没有在条目中选择。",
    verdict: "判定",
    more: |more| format!("另有 {more} 个条目"),
    real: "对真实请求作同样解释",
};

const ACTIVITY: ActivityText = ActivityText {
    events: "事件",
    caption: "最近的重要事件，最新的在前",
    none: "自启动以来没有重要事件。",
    level: "级别",
    level_name: level,
    event: "事件",
    details: "详情",
    levels: "记录更多：设置 log.level，然后",
    explained: "docs/logging.md 解释每个事件。",
};

const ABOUT: AboutText = AboutText {
    program: "程序",
    version: "版本",
    configuration: "配置",
    masked: "所有键及其值。机密已隐藏。",
    in_force: "生效的配置",
    metrics: "指标",
    readiness: "就绪状态",
    interface: "供程序使用",
    interface_caption: "此监听器的路由及对应页面",
    route: "路由",
    shown_at: "页面",
    check: "检查修改后的文件",
    reload: "使其生效",
    watch: "在终端中查看实时页面",
};

fn of(part: &str, whole: &str) -> String {
    format!("{part} / {whole}")
}

fn class(value: EvictionClass) -> &'static str {
    match value {
        EvictionClass::Unwanted => "无人拉取的平台",
        EvictionClass::Probation => "到达后未再使用",
        EvictionClass::UsedAgain => "再次使用过",
        EvictionClass::Manifest => "清单",
    }
}

fn origin(value: FillOrigin) -> &'static str {
    match value {
        FillOrigin::Client => "客户端",
        FillOrigin::Replica => "其他副本",
        FillOrigin::Prefetch => "预取",
    }
}

fn place(value: FillPlace) -> &'static str {
    match value {
        FillPlace::Upstream => "来自上游",
        FillPlace::Replica => "来自其他副本",
        FillPlace::Tier => "来自存储桶",
    }
}

fn waits(value: FillWait) -> &'static str {
    match value {
        FillWait::Slot => "等待名额",
        FillWait::Answer => "等待上游应答",
        FillWait::Room => "等待磁盘空间",
        FillWait::Bytes => "一秒无数据",
        FillWait::Storing => "正在校验和存储",
    }
}

fn ending(value: FillEnd) -> &'static str {
    match value {
        FillEnd::Stored => "已存储",
        FillEnd::Failed => "失败",
        FillEnd::NoSlot => "未得到名额",
        FillEnd::GaveWay => "让位",
        FillEnd::SentPast => "绕过缓存",
        FillEnd::Unstored => "磁盘未能存储",
        FillEnd::Wrong => "与摘要不符",
        FillEnd::Cut => "因关闭而中断",
    }
}

fn role(value: LinkRole) -> &'static str {
    match value {
        LinkRole::Manifest => "清单",
        LinkRole::Config => "配置",
        LinkRole::Layer => "层",
    }
}

fn endpoint(value: EndpointState) -> &'static str {
    match value {
        EndpointState::Up => "正常",
        EndpointState::Throttling => "限流",
        EndpointState::Down => "不可用",
    }
}

fn level(value: Level) -> &'static str {
    match value {
        Level::Error => "错误",
        Level::Warn => "警告",
        Level::Info => "信息",
    }
}

fn series(name: &str) -> Option<&'static str> {
    Some(match name {
        "sent" => "发给客户端的字节",
        "received" => "自上游接收的字节",
        "stored" => "已存储",
        "evicted" => "已淘汰",
        "requests" => "请求",
        "hits" => "命中",
        "errors" => "错误",
        "stale" => "陈旧应答",
        "upstream_calls" => "上游调用",
        "upstream_failures" => "失败的上游调用",
        "fills" => "下载",
        "connections" => "连接",
        _ => return None,
    })
}

fn tag_state(name: &str) -> Option<&'static str> {
    Some(match name {
        "fresh" => "新鲜",
        "stale" => "陈旧",
        "expired" => "已过期",
        "immutable" => "不可变",
        "held" => "保留",
        _ => return None,
    })
}

fn calls(name: &str) -> Option<&'static str> {
    Some(match name {
        "all" => "全部",
        "manifests" => "清单",
        "blobs" => "数据块",
        "lists" => "列表",
        _ => return None,
    })
}

fn answer(name: &str) -> Option<&'static str> {
    Some(match name {
        "ok" => "成功",
        "absent" => "不存在",
        "refused" => "拒绝",
        "throttled" => "限流",
        "unreachable" => "不可达",
        "broken" => "损坏",
        "resting" => "暂停",
        _ => return None,
    })
}

fn source(name: &str) -> Option<&'static str> {
    Some(match name {
        "header" => "请求头",
        "query" => "查询参数",
        "path" => "路径",
        "user-agent" => "User-Agent",
        "address" => "地址",
        "listener" => "监听器",
        "host" => "主机名",
        "node" => "节点",
        "none" => "无",
        _ => return None,
    })
}

fn share(name: &str) -> Option<&'static str> {
    Some(match name {
        "unwanted" => "无人拉取的平台",
        "probation" => "到达后未再使用",
        "used_again" => "再次使用过",
        "manifests" | "manifest" => "清单",
        "pinned" => "固定",
        "index" => "索引",
        "config" => "配置",
        "layer" => "层",
        "other" => "其他",
        _ => return None,
    })
}

fn trouble(trouble: &Trouble) -> String {
    let what = match trouble.kind {
        TroubleKind::IntegrityFailure => "数据校验失败",
        TroubleKind::UpstreamDown => "上游不可用",
        TroubleKind::UpstreamRefuses => "上游拒绝我们的凭据",
        TroubleKind::DiskFull => "磁盘无法接受更多下载",
        TroubleKind::ShuttingDown => "正在关闭",
        TroubleKind::CertificateExpires => "证书即将到期",
        TroubleKind::TokenExpires => "令牌即将到期且未续期",
        TroubleKind::EndpointDown => "一个端点不可用",
        TroubleKind::UpstreamThrottles => "上游限流",
        TroubleKind::ServingStale => "正在提供陈旧标签",
        TroubleKind::PlatformMissing => "镜像缺少客户端请求的平台",
        TroubleKind::FillsQueued => "下载在排队",
    };
    let mut text = what.to_owned();
    if let Some(of) = &trouble.of {
        let _ = write!(text, "：{of}");
    }
    if let Some(count) = trouble.count {
        let _ = write!(text, "，{count} 次");
    }
    if let Some(until) = trouble.until {
        let _ = write!(text, "，至 {until}");
    }
    if let Some(cause) = &trouble.cause {
        let _ = write!(text, "（{cause}）");
    }
    text + "。"
}
