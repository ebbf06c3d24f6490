from sqlalchemy import text


async def test_connection_is_rolled_back_first(connection):
    await connection.execute(text("CREATE TABLE left_behind (id INT)"))
    assert await connection.scalar(text("SELECT count(*) FROM left_behind")) == 0


async def test_connection_is_rolled_back_second(connection):
    assert await connection.scalar(text("SELECT to_regclass('left_behind')")) is None
