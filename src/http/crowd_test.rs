use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn crowd(connections_max: usize, connections_per_address: usize) -> (Arc<Crowd>, Arc<Metrics>) {
    let metrics = Metrics::new(&[]);
    let limits = Limits { connections_max, connections_per_address, ..Limits::default() };
    let crowd = Arc::into_inner(Crowd::new(&limits, Arc::clone(&metrics))).expect("nobody else has it");
    (Arc::new(Crowd { young: 0, ..crowd }), metrics)
}

fn metric(metrics: &Metrics, series: &str) -> u64 {
    let text = metrics.render();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("{series}"));
    value.parse().unwrap()
}

fn is_open(guest: &Guest) -> bool {
    guest.seat().idle_since.load(Ordering::Acquire) != CUT
}

/// Lets some time pass for the crowd's clock.
fn a_moment() {
    std::thread::sleep(Duration::from_micros(50));
}

fn asked(crowd: &Arc<Crowd>, peer: IpAddr) -> Guest {
    a_moment();
    let guest = crowd.seat(peer, false, false).unwrap();
    assert!(guest.seat().begin());
    guest.seat().end();
    guest
}

#[test]
fn the_longest_idle_makes_room_and_whoever_is_busy_stays() {
    let (crowd, metrics) = crowd(4, 0);
    let busy = asked(&crowd, HERE);
    assert!(busy.seat().begin());
    let (old, young) = (asked(&crowd, HERE), asked(&crowd, HERE));
    a_moment();
    let silent = crowd.seat(HERE, false, false).unwrap();
    let mut later = Vec::new();
    // Connections that never sent a request go first, then by time; the newest is idle too.
    for closed in [&silent, &old, &young] {
        assert!(is_open(closed));
        later.push(asked(&crowd, HERE));
        assert!(!is_open(closed) && !closed.seat().begin(), "no request begins on it any more");
    }
    assert!(is_open(&busy) && later.iter().all(is_open));
    assert_eq!(metric(&metrics, "upline_http_connections_cut_total{reason=\"idle\"}"), 3);
    assert_eq!(crowd.open(), 7, "those that were told to end have not yet");
}

#[test]
fn newcomers_do_not_close_each_other() {
    let crowd = Crowd::new(&Limits { connections_max: 2, ..Limits::default() }, Metrics::new(&[]));
    let busy = asked(&crowd, HERE);
    assert!(busy.seat().begin());
    let newcomer = crowd.seat(HERE, false, false).unwrap();
    let next = crowd.seat(HERE, false, false).unwrap();
    assert_eq!(
        (next.seat().room(), is_open(&newcomer)),
        (Room::Doorstep, true),
        "its request may be on its way"
    );
    std::thread::sleep(YOUNG + LOOK_AGAIN);
    assert_eq!(crowd.seat(HERE, false, false).unwrap().seat().room(), Room::Main);
    assert!(!is_open(&newcomer), "it had its time");
}

#[test]
fn a_request_that_came_first_wins() {
    let (crowd, _) = crowd(1, 0);
    let guest = asked(&crowd, HERE);
    let candidate = guest.seat().candidate().unwrap();
    assert!(guest.seat().begin());
    assert!(!guest.seat().cut_if_still(candidate));
    a_moment();
    guest.seat().end();
    assert!(!guest.seat().cut_if_still(candidate), "it was idle since another moment");
    assert!(guest.seat().cut_if_still(guest.seat().candidate().unwrap()));
}

#[test]
fn when_all_are_busy_there_are_spare_seats_and_then_none() {
    let (crowd, metrics) = crowd(3, 0);
    let mut guests = Vec::new();
    for number in 0..3 + SPARE_CONNECTIONS_MAX {
        let guest = crowd.seat(HERE, false, false).unwrap();
        assert_eq!(guest.seat().room(), if number < 3 { Room::Main } else { Room::Doorstep });
        assert!(number < 3 || crowd.seat_probe(guest.seat()));
        assert_eq!(guest.seat().is_spare(), 3 <= number);
        assert!(guest.seat().begin());
        guests.push(guest);
    }
    let waits = crowd.seat(HERE, false, false).unwrap();
    assert!(!crowd.seat_probe(waits.seat()), "no spare seat is left");
    drop(waits);
    assert_eq!(
        crowd.seat(HERE, false, true).unwrap().seat().room(),
        Room::Ops,
        "operators have a room of their own"
    );
    // A stalled reader makes room before anybody is refused.
    guests[1].seat().stall();
    std::thread::sleep(LOOK_AGAIN);
    assert_eq!(crowd.seat(HERE, false, false).unwrap().seat().room(), Room::Main);
    assert!(!is_open(&guests[1]));
    assert_eq!(metric(&metrics, "upline_http_connections_cut_total{reason=\"slow_reader\"}"), 1);
    guests.clear();
    assert_eq!(crowd.open(), 0);
}

/// A probe gets in however many silent connections wait: those do not take the probes' seats, and make way on
/// the doorstep.
#[test]
fn who_is_no_probe_never_has_a_spare_seat() {
    let (crowd, _) = crowd(1, 0);
    let busy = crowd.seat(HERE, false, false).unwrap();
    assert!(busy.seat().begin());
    let mut waiting = Vec::new();
    for number in 0..5 * DOORSTEP_MAX {
        a_moment();
        waiting.push(crowd.seat(HERE, false, false).expect("those that say nothing make way"));
        assert_eq!(waiting[number].seat().room(), Room::Doorstep);
    }
    a_moment();
    let probe = crowd.seat(HERE, false, false).unwrap();
    assert!(crowd.seat_probe(probe.seat()) && probe.seat().room() == Room::Spare);
    assert!(!crowd.seat_probe(waiting[0].seat()), "it was told to end");
    drop((busy, waiting, probe));
    assert_eq!((crowd.open(), crowd.seated.lock().counts), (0, [0; 4]));
}

#[test]
fn one_address_has_so_many_and_proxies_are_not_counted() {
    let (crowd, _) = crowd(100, 2);
    let seat = |peer: &str, is_proxy| crowd.seat(peer.parse().unwrap(), is_proxy, false);
    let held = [seat("2001:db8::1", false).unwrap(), seat("2001:db8::ffff:1", false).unwrap()];
    assert_eq!(
        seat("2001:db8::2", false).err(),
        Some(Refusal::Address),
        "a network of 64 bits is one client"
    );
    assert!(seat("2001:db8:0:1::1", false).is_ok() && seat("192.0.2.1", false).is_ok());
    assert!(seat("2001:db8::3", true).is_ok(), "a proxy stands for many");
    drop(held);
    assert!(seat("2001:db8::2", false).is_ok());
    assert!(crowd.seated.lock().addresses.is_empty(), "who is gone is forgotten");
}

/// However idle and silent connections come and go, their number stays within bounds, and a new one always
/// gets a seat.
#[test]
fn a_storm_of_idle_connections_locks_nobody_out() {
    let (crowd, _) = crowd(50, 0);
    let mut guests = VecDeque::new();
    for number in 0..5_000_u32 {
        let guest = crowd.seat(IpAddr::from(number.to_be_bytes()), false, false).unwrap();
        if number % 3 == 0 {
            assert!(guest.seat().begin());
            guest.seat().end();
        }
        guests.push_back(guest);
        guests.retain(is_open);
        assert!(guests.len() <= 50 && crowd.seated.lock().seats.len() == guests.len(), "{number}");
    }
}

#[test]
fn what_answers_hold_is_counted_and_the_slowest_of_those_with_much_are_closed() {
    let (crowd, metrics) = crowd(10, 0);
    let guests: Vec<Guest> = (0..4).map(|_| crowd.seat(HERE, false, false).unwrap()).collect();
    let hold = |number: usize, bytes| guests[number].seat().hold(bytes);
    let release = |number: usize, bytes| guests[number].seat().release(bytes);
    let beyond = || crowd.beyond.bytes.lock().total;
    // Bytes within a connection's own allowance cost the others nothing.
    (0..4).for_each(|number| hold(number, HELD_BYTES_ALLOWED));
    assert_eq!(
        (beyond(), metric(&metrics, "upline_http_answer_held_bytes")),
        (0, 4 * HELD_BYTES_ALLOWED as u64)
    );
    let half = HELD_BYTES_BEYOND_MAX / 2;
    hold(0, half);
    hold(1, half);
    assert_eq!(beyond(), HELD_BYTES_BEYOND_MAX);
    assert!(guests.iter().all(is_open));
    // The first that has not read since then pays; it holds its bytes until its connection is gone, which
    // does not count against others.
    hold(2, 1);
    assert_eq!([0, 1, 2].map(|number| is_open(&guests[number])), [false, true, true]);
    hold(3, half - 1);
    assert!(is_open(&guests[1]));
    release(0, HELD_BYTES_ALLOWED + half);
    // A reader that has caught up starts from zero.
    release(1, half);
    hold(1, half);
    hold(2, 1_000);
    assert_eq!([1, 2, 3].map(|number| is_open(&guests[number])), [true, false, true]);
    for (number, bytes) in [(1, half), (2, 1_001), (3, half - 1)] {
        release(number, HELD_BYTES_ALLOWED + bytes);
    }
    let state = crowd.beyond.bytes.lock();
    assert_eq!((state.total, state.ending, state.holders.len(), state.order.len()), (0, 0, 0, 0));
    drop(state);
    assert_eq!(metric(&metrics, "upline_http_answer_held_bytes"), 0);
    assert_eq!(metric(&metrics, "upline_http_connections_cut_total{reason=\"slow_reader\"}"), 2);
}

#[tokio::test]
async fn the_end_of_the_last_one_is_told() {
    let (crowd, _) = crowd(10, 0);
    crowd.wait_until_empty().await;
    let guests = [crowd.seat(HERE, false, false).unwrap(), crowd.seat(HERE, false, true).unwrap()];
    let waiting = tokio::spawn({
        let crowd = Arc::clone(&crowd);
        async move { crowd.wait_until_empty().await }
    });
    tokio::task::yield_now().await;
    for guest in guests {
        assert!(!waiting.is_finished());
        drop(guest);
        tokio::task::yield_now().await;
    }
    waiting.await.unwrap();
}
