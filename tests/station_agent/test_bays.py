from station_agent.bays import BayMap

PORT = "pci-0000:00:02.0-usb-0:{}:1.0-scsi-0:0:0:0"


def test_a_port_finds_its_bay():
    bays = BayMap({1: "*usb-0:1:1.0*", 2: "*usb-0:2:1.0*"})
    assert bays.bay_of(PORT.format(1)) == 1
    assert bays.bay_of(PORT.format(2)) == 2
    assert bays.numbers == (1, 2)


def test_a_port_that_is_no_bay_has_none():
    bays = BayMap({1: "*usb-0:1:1.0*"})
    assert bays.bay_of(PORT.format(11)) is None
    assert bays.bay_of("pci-0000:00:1f.2-ata-1") is None
    assert bays.bay_of("") is None
    assert BayMap({1: "*"}).bay_of("") is None


def test_the_lowest_bay_wins_where_patterns_overlap():
    assert BayMap({2: "*usb*", 1: "*usb-0:1*"}).bay_of(PORT.format(1)) == 1
    assert BayMap({2: "*usb*", 1: "*usb-0:1*"}).bay_of(PORT.format(3)) == 2


def test_patterns_mind_case():
    assert BayMap({1: "*USB*"}).bay_of(PORT.format(1)) is None
