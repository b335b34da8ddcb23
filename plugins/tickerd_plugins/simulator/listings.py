"""The names, tokens and prices that the simulated market is made of."""

from typing import NamedTuple

NSE, NFO, CDS, BSE, BFO, BCD, MCX, INDICES, NCO = 1, 2, 3, 4, 5, 6, 7, 9, 12
"""Segments: the low byte of an instrument token."""


class Index(NamedTuple):
    """An index: its exchange, name, exchange token, and where it starts."""

    exchange: str
    name: str
    exchange_token: int
    price: float


class Stock(NamedTuple):
    """A share, listed on both exchanges."""

    symbol: str
    name: str
    nse_token: int
    bse_token: int
    price: float
    lot: int
    """Lot size of its derivatives."""
    strike_step: float


class Commodity(NamedTuple):
    """An MCX or NCO underlying."""

    symbol: str
    price: float
    tick: float
    lot: int
    strike_step: float


INDEX_LISTINGS = (
    Index("NSE", "NIFTY 50", 1001, 24_812.05),
    Index("NSE", "NIFTY BANK", 1016, 55_421.70),
    Index("BSE", "SENSEX", 1, 81_207.15),
    Index("NSE", "NIFTY IT", 1015, 35_310.40),
    Index("NSE", "NIFTY NEXT 50", 1058, 67_882.30),
    Index("NSE", "NIFTY FIN SERVICE", 1007, 26_411.95),
    Index("NSE", "NIFTY MID SELECT", 1125, 12_903.60),
    Index("NSE", "NIFTY AUTO", 1029, 23_518.25),
    Index("NSE", "NIFTY PHARMA", 1025, 21_770.10),
    Index("NSE", "NIFTY METAL", 1030, 9_241.85),
    Index("NSE", "INDIA VIX", 1035, 12.43),
    Index("BSE", "BANKEX", 1072, 61_935.45),
)

STOCK_LISTINGS = (
    Stock("INFY", "INFOSYS", 1594, 500209, 1573.70, 400, 20),
    Stock("RELIANCE", "RELIANCE INDUSTRIES", 2885, 500325, 1403.25, 500, 10),
    Stock("TCS", "TATA CONSULTANCY SERV LT", 11536, 532540, 3145.80, 175, 20),
    Stock("HDFCBANK", "HDFC BANK", 1333, 500180, 987.35, 550, 10),
    Stock("ICICIBANK", "ICICI BANK", 4963, 532174, 1388.10, 700, 10),
    Stock("SBIN", "STATE BANK OF INDIA", 3045, 500112, 862.55, 750, 10),
    Stock("ITC", "ITC", 1660, 500875, 402.30, 1600, 2.5),
    Stock("AXISBANK", "AXIS BANK", 5900, 532215, 1164.90, 625, 10),
    Stock("KOTAKBANK", "KOTAK MAHINDRA BANK", 1922, 500247, 2102.40, 400, 20),
    Stock("LT", "LARSEN & TOUBRO", 11483, 500510, 3721.65, 175, 20),
    Stock("HINDUNILVR", "HINDUSTAN UNILEVER", 1394, 500696, 2511.20, 300, 20),
    Stock("BHARTIARTL", "BHARTI AIRTEL", 10604, 532454, 1928.75, 475, 20),
    Stock("BAJFINANCE", "BAJAJ FINANCE", 317, 500034, 1001.15, 750, 10),
    Stock("MARUTI", "MARUTI SUZUKI INDIA", 10999, 532500, 15_842.00, 50, 100),
    Stock("ASIANPAINT", "ASIAN PAINTS", 236, 500820, 2348.45, 250, 20),
    Stock("WIPRO", "WIPRO", 3787, 507685, 243.08, 3000, 2.5),
    Stock("HCLTECH", "HCL TECHNOLOGIES", 7229, 532281, 1411.30, 350, 20),
    Stock("SUNPHARMA", "SUN PHARMACEUTICAL IND L", 3351, 524715, 1622.85, 350, 20),
    Stock("TITAN", "TITAN COMPANY", 3506, 500114, 3418.95, 175, 20),
    Stock("ULTRACEMCO", "ULTRATECH CEMENT", 11532, 532538, 12_104.00, 50, 100),
    Stock("TATASTEEL", "TATA STEEL", 3499, 500470, 171.26, 5500, 1),
    Stock("NTPC", "NTPC", 11630, 532555, 338.40, 1500, 2.5),
    Stock("POWERGRID", "POWER GRID CORP", 14977, 532898, 284.75, 1900, 2.5),
    Stock("ONGC", "OIL AND NATURAL GAS CORP", 2475, 500312, 243.92, 2250, 2.5),
    Stock("M&M", "MAHINDRA & MAHINDRA", 2031, 500520, 3502.10, 200, 20),
    Stock("BAJAJ-AUTO", "BAJAJ AUTO", 16669, 532977, 8733.50, 75, 50),
    Stock("ADANIENT", "ADANI ENTERPRISES", 25, 512599, 2544.60, 300, 20),
    Stock("COALINDIA", "COAL INDIA", 20374, 533278, 386.15, 1350, 2.5),
    Stock("JSWSTEEL", "JSW STEEL", 11723, 500228, 1136.70, 675, 10),
    Stock("TECHM", "TECH MAHINDRA", 13538, 532755, 1447.95, 600, 20),
)

MCX_LISTINGS = (
    Commodity("GOLD", 121_480.00, 1.0, 1, 500),
    Commodity("GOLDM", 120_911.00, 1.0, 1, 500),
    Commodity("SILVER", 146_230.00, 1.0, 1, 1000),
    Commodity("CRUDEOIL", 5_462.00, 1.0, 1, 50),
    Commodity("NATURALGAS", 298.40, 0.1, 1, 5),
    Commodity("COPPER", 984.35, 0.05, 1, 5),
    Commodity("ZINC", 290.15, 0.05, 1, 2.5),
    Commodity("ALUMINIUM", 261.80, 0.05, 1, 2.5),
)

CURRENCIES = (("USDINR", 83.2575), ("EURINR", 90.1150), ("GBPINR", 105.7825), ("JPYINR", 55.4300))
